// The site searches in a worker. Browsers start none for a page from a disk; there an iframe does the worker's part.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      this.inside.document.write(`<script>
        postMessage = (data) => parent.postMessage(data, "*");
        importScripts = (...places) => places.reduce((before, place) => before.then(() => new Promise((done) => {
          const script = document.createElement("script");
          script.src = place;
          script.onload = done;
          document.head.append(script);
        })), Promise.resolve());
      <\/script><script src="${address}"><\/script>`);
      this.inside.document.close();
      this.loaded = new Promise((done) => { this.inside.onload = done; });
      addEventListener("message", ({ source, data }) => {
        if (source === this.inside) this.dispatchEvent(new MessageEvent("message", { data }));
      });
    }

    postMessage(data) {
      this.loaded.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
}
