// The page of `cpvae explore`. What a user wrote (names, columns, levels, files) becomes text nodes, never markup.
"use strict";
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const get = (id) => document.getElementById(id);
  const cards = data.cards;

  // -- small tools ------------------------------------------------------------------------------------------------

  const make = (tag, attributes = {}, ...children) => {
    const found = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") found.addEventListener("click", value);
      else found.setAttribute(name, value);
    }
    found.append(...children);
    return found;
  };
  const unpack = (text) => new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const count = (n) => n.toLocaleString("en");
  const rowsOf = (n) => `${count(n)} row${n === 1 ? "" : "s"}`;
  const percent = (share) => {
    const points = 100 * share;
    return points > 0 && points < 0.05 ? "under 0.1 %" : `${points.toFixed(points > 0 && points < 10 ? 1 : 0)} %`;
  };
  const say = (text) => { get("status").textContent = text; };
  const guarded = (work) => async (event) => {
    if (event) event.preventDefault();
    try { say(""); await work(event); } catch (error) { say(error.message); }
  };
  const replaced = (place, parts) => {  // a button that had the focus passes it on to one in its place
    const held = place.contains(document.activeElement);
    place.replaceChildren(...parts);
    if (held) (place.querySelector("[aria-pressed=true]") ?? place.querySelector("button"))?.focus({ preventScroll: true });
  };
  const some = (list, most) => {
    const step = Math.max(1, list.length / most);
    return Array.from({ length: Math.min(list.length, most) }, (_, i) => list[Math.floor(i * step)]);
  };
  const shuffled = (list, n) => {
    const rest = [...list];
    for (let i = 0; i < Math.min(n, rest.length); i++) {
      const j = i + Math.floor(Math.random() * (rest.length - i));
      [rest[i], rest[j]] = [rest[j], rest[i]];
    }
    return rest.slice(0, n);
  };
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const offer = (name, lines) => {
    const link = make("a", { download: name });
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`${name} is in the folder of downloads: ${rowsOf(lines.length - 1)}`);
  };

  // -- answers: of a server, or stored in the page ------------------------------------------------------------------

  const refuse = (what) => { throw new Error(`${what} needs the model: run cpvae explore without --static`); };
  const NUMBER = /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
  const DATE = /^\d{4}(-\d\d){0,2}([T ]\d\d(:\d\d){0,2})?$/;  // in part, too: a year, a month
  const numberIn = (cell) => { const text = cell.replaceAll(",", ""); return NUMBER.test(text) ? Number(text) : NaN; };
  const rangeIn = (text) => {  // a colon also stands in levels and clocks; its two ends are numbers, or dates
    const colons = [...text].flatMap((letter, i) => (letter === ":" ? [i] : []));
    const middle = colons[colons.length >> 1];
    const ends = [text.slice(0, middle).trim(), text.slice(middle + 1).trim()];
    return colons.length && [NUMBER, DATE].some((kind) => ends.every((end) => end === "" || kind.test(end))) ? ends : null;
  };
  const matches = (conditions) => (cells) => conditions.every(({ column, value, range }) => {
    const cell = cells[column];
    if (cell === "" || cell === value) return cell === value;
    const [low, high] = range ?? [value, value];
    if (DATE.test(cell) && !NUMBER.test(cell)) {  // dates are in the order of their texts
      return DATE.test(low || high) && cell >= low && (high === "" || cell.slice(0, high.length) <= high);
    }
    const number = numberIn(cell);
    return range ? number >= (low === "" ? -Infinity : Number(low)) && number <= (high === "" ? Infinity : Number(high)) : number === numberIn(value);
  });
  const conditionsOf = (texts) => texts.filter((text) => text.trim()).map((text) => {
    const name = data.columns.filter((column) => text.trim().startsWith(`${column}=`)).sort((a, b) => b.length - a.length)[0];
    if (name === undefined) throw new Error(`${text}: expected COLUMN=VALUE or COLUMN=LOW:HIGH, of a column shown here`);
    const wanted = text.trim().slice(name.length + 1);
    return { column: data.columns.indexOf(name), value: wanted.trim(), range: rangeIn(wanted) };
  });
  const kept = data.stored;
  const storedAnswers = {
    rows: ({ rows }) => rows.map((row) => kept.rows[row] ?? null),
    near: ({ rows }) => rows.map((row) => kept.near[row] ?? []),
    column: ({ column }) => kept.columns[column],
    lines: ({ rows }) => ({ head: kept.lines.head, lines: rows.map((row) => kept.lines.lines[row]) }),
    split: () => refuse("splitting by the code"),
    traits: () => ({}),
    draw: (asked) => {
      if (asked.how === "part") refuse("completing a half");
      if (asked.how === "between") {
        const [a, b] = [category[asked.first], category[asked.last]];
        const walk = kept.walks[`${Math.min(a, b)}-${Math.max(a, b)}`];
        if (walk === undefined) refuse("the way between these two rows");
        const ends = walk.ends.map((row) => data.numbers[row]);
        say(`Stored is the way between typical rows of the two categories: ${ends.join(" and ")}.`);
        return a < b ? walk.rows : [...walk.rows].reverse();
      }
      const sample = kept.draws[asked.category ?? "all"] ?? refuse("drawing from a category that is hardly used");
      if (asked.how !== "given") return shuffled(sample, asked.n);
      const conditions = conditionsOf(asked.given);
      if (!conditions.length) throw new Error("nothing is given; expected COLUMN=VALUE or COLUMN=LOW:HIGH, one a line");
      const found = sample.filter(matches(conditions));
      if (!found.length) throw new Error(`none of ${rowsOf(sample.length)} in the stored sample has that`);
      say(`${count(found.length)} of ${rowsOf(sample.length)} in the stored sample have that.`);
      return shuffled(found, asked.n);
    },
  };
  const token = new URLSearchParams(location.search).get("token");
  const answer = async (question, asked) => {
    if (!data.live) return storedAnswers[question](asked);
    const reply = await fetch(`answer/${question}${token ? `?token=${encodeURIComponent(token)}` : ""}`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked),
    }).catch(() => { throw new Error("the server does not answer; is cpvae explore still running?"); });
    const found = await reply.json().catch(() => ({ error: `the server answers ${reply.status}` }));
    if (!reply.ok) throw new Error(found.error);
    return found.answer;
  };

  const turns = new Map();
  const begin = (what) => { const own = {}; turns.set(what, own); return () => turns.get(what) === own; };  // still the latest?

  // -- state: a group for each row, which begins as its category ----------------------------------------------------

  const n = data.numbers.length;
  const category = Int32Array.from(unpack(data.category));
  const probability = unpack(data.probability);
  const position = new Map(data.numbers.map((number, i) => [number, i]));
  let groups = Int32Array.from(category);
  let names = new Map(Object.entries(data.names).map(([k, name]) => [Number(k), name]));
  let traits = new Map();  // of groups that the user made
  let shown = null;  // the group of the card
  let selected = [];
  let last = [];  // rows clicked, the latest last
  const past = [];  // for undo
  const members = (group) => { const own = []; for (let i = 0; i < n; i++) if (groups[i] === group) own.push(i); return own; };
  const sizes = () => { const found = new Map(); for (const group of groups) found.set(group, (found.get(group) ?? 0) + 1); return found; };
  const title = (group) => (names.has(group) ? `${group < cards.length ? `${group} ` : ""}${names.get(group)}`.trim() : `Category ${group}`);
  const colourOf = (group) => data.palette[group % data.palette.length];
  const isOwn = (group) => { for (let i = 0; i < n; i++) if ((groups[i] === group) !== (category[i] === group)) return false; return group < cards.length; };

  // -- the map ------------------------------------------------------------------------------------------------------

  const map = JSON.parse(get("plot").textContent);
  const gl = make("canvas").getContext("webgl");
  const renderer = gl && gl.getParameter(gl.getExtension("WEBGL_debug_renderer_info")?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER);
  // without a graphics card, the processor computes WebGL, which is far slower than the canvas
  if (!renderer || /swiftshader|llvmpipe|softpipe|software|basic render/i.test(renderer)) map.doc.roots[0].attributes.output_backend = "canvas";
  const views = await Bokeh.embed.embed_item(map, "map");
  const plot = [...views][0].model ?? [...views][0];
  const model = (name) => plot.document.get_model_by_name(name);
  const [points, middles, colours, numbered] = ["points", "middles", "colours", "numbers"].map(model);
  const theme = () => {
    const css = getComputedStyle(document.documentElement);
    const font = "system-ui, sans-serif";
    const [ink, soft, line, paper] = ["--ink", "--soft", "--line", "--paper"].map((name) => css.getPropertyValue(name).trim());
    plot.setv({ background_fill_color: paper, border_fill_color: paper, outline_line_color: line });
    for (const axis of [...plot.below, ...plot.left]) {
      axis.setv({ axis_label_text_color: soft, axis_label_text_font_style: "normal", major_label_text_color: soft, axis_line_color: line, major_tick_line_color: line, minor_tick_line_color: null, axis_label_text_font: font, major_label_text_font: font });
    }
    for (const grid of plot.center) if ("grid_line_color" in grid) grid.setv({ grid_line_color: line, grid_line_alpha: 0.5 });
    for (const glyph of [numbered.glyph, numbered.nonselection_glyph, numbered.selection_glyph]) {
      if (glyph && glyph.setv) glyph.setv({ text_color: ink, text_font: font, text_font_size: "14px", text_font_style: "bold", text_alpha: 1, background_fill_color: paper, background_fill_alpha: 0.85, border_line_color: soft, border_radius: 9, padding: [2, 6] });
    }
  };
  theme();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);

  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  const number = () => {
    const found = { x: [], y: [], text: [] };
    const used = data.hasCategories ? [...sizes().keys()] : [];
    if (used.length > 1 && used.length <= 40) {
      const [x, y] = [points.get("x"), points.get("y")];
      for (const group of used) {
        const own = members(group);
        found.x.push(median(own.map((i) => x[i])));
        found.y.push(median(own.map((i) => y[i])));
        found.text.push(String(group));
      }
    }
    middles.data = found;
  };
  const paint = (values, palette, low, high) => {
    colours.setv({ palette, low, high });
    points.data = Object.assign({}, ...["x", "y"].map((name) => ({ [name]: points.get(name) })), { v: values });
  };
  const choices = [
    ...(data.hasCategories ? [["Category", "category"], ["Probability of the category", "probability"]] : []),
    ...(data.labels ? [["Label", "label"]] : []),
    ...data.columns.map((name, i) => [`Column ${name}`, `column ${i}`]),
  ];
  if (!choices.length) choices.push(["Nothing", "nothing"]);
  for (const [text, value] of choices) get("colour").append(make("option", { value }, text));
  const byLevels = (values, levels) => {
    const palette = levels.map((_, i) => data.palette[i % data.palette.length]);
    paint(values, palette, -0.5, levels.length - 0.5);
    get("scale").replaceChildren(...levels.slice(0, 20).map((level, i) => {
      const swatch = make("span", { class: "swatch" });
      swatch.style.background = palette[i];
      return make("span", {}, swatch, level);
    }), ...(levels.length > 20 ? [`and ${levels.length - 20} more`] : []));
  };
  const byValues = (values) => {
    const known = [...values].filter(Number.isFinite).sort((a, b) => a - b);
    const at = (share) => known[Math.min(known.length - 1, Math.floor(share * known.length))] ?? 0;
    const [low, high] = [at(0.02), at(0.98)];
    paint(values, data.scale, low, high > low ? high : low + 1);
    const ramp = make("span", { class: "ramp" });
    ramp.style.background = `linear-gradient(to right, ${data.scale.filter((_, i) => i % 32 === 0).join(", ")})`;
    const digits = (value) => String(Number(value.toPrecision(4)));
    const words = [digits(low), digits(high), ...(known.length < values.length ? ["grey: missing"] : [])].map((text) => make("span", {}, text));
    get("scale").replaceChildren(words[0], ramp, ...words.slice(1));
  };
  const colour = async () => {
    const [what, which] = get("colour").value.split(" ");
    const latest = begin("colour");
    if (what === "probability") byValues(probability);
    else if (what === "label") byLevels(unpack(data.labels.values), data.labels.levels);
    else if (what === "column") {
      const found = await answer("column", { column: Number(which) });
      if (!latest()) return;
      if (found.levels) byLevels(unpack(found.values), found.levels);
      else byValues(unpack(found.values));
    } else if (what === "category") {
      const most = Math.max(...groups) + 1;
      paint(Float32Array.from(groups), Array.from({ length: most }, (_, group) => colourOf(group)), -0.5, most - 0.5);
      get("scale").replaceChildren();
    } else paint(new Float32Array(n), [data.palette[0]], -0.5, 0.5);
  };
  get("colour").addEventListener("change", guarded(colour));

  // -- rows as pictures, curves, cells ------------------------------------------------------------------------------

  const nameOf = (row) => [`row ${data.numbers[row]}`, ...Object.entries(data.known).map(([name, cells]) => (name === "name" ? cells[row] : `${name} ${cells[row]}`))].join(" · ");
  const shortName = (row) => (data.known.name ? `row ${data.numbers[row]} · ${data.known.name[row]}` : `row ${data.numbers[row]}`);
  const rowButton = (row) => make("button", { type: "button", class: "row", onclick: guarded(() => choose([row])) }, shortName(row));
  const curves = (channels) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 200 100");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const values = channels.flat().filter((value) => value !== null);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    channels.forEach((channel, i) => {
      const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      const place = (value, t) => `${((200 * t) / Math.max(1, channel.length - 1)).toFixed(1)},${(96 - (92 * (value - low)) / (high - low || 1)).toFixed(1)}`;
      line.setAttribute("points", channel.map((value, t) => (value === null ? "" : place(value, t))).filter(Boolean).join(" "));
      for (const [name, value] of [["fill", "none"], ["stroke", data.palette[i % data.palette.length]], ["stroke-width", "1.5"], ["vector-effect", "non-scaling-stroke"]]) line.setAttribute(name, value);
      svg.append(line);
    });
    return svg;
  };
  const table = (contents, rows) => {
    const head = make("tr", {}, ...[rows ? "row" : "", ...data.columns].map((name) => make("th", { scope: "col", title: name }, name)));
    const body = contents.map((cells, i) => make("tr", {}, make("th", { scope: "row" }, ...(rows ? [rowButton(rows[i])] : [`new ${i + 1}`])),
      ...(cells ?? data.columns.map(() => "…")).map((cell) => make("td", { title: cell }, cell === "" ? "·" : cell))));
    return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
  };
  const gallery = (place, contents, rows) => {
    if (data.kind === "cells") { replaced(place, contents.length ? [table(contents, rows)] : []); return; }
    replaced(place, contents.map((one, i) => {
      const caption = rows ? make("figcaption", {}, rowButton(rows[i])) : make("figcaption", { class: "note" }, String(i + 1));
      let picture = make("p", { class: "note" }, "not kept here");
      if (one !== null && data.kind === "picture") {
        picture = make("img", { src: one, alt: rows ? nameOf(rows[i]) : `new row ${i + 1}` });
        picture.addEventListener("load", () => picture.classList.toggle("smooth", picture.naturalWidth > 40));
      } else if (one !== null) picture = curves(one);
      return make("figure", {}, picture, caption);
    }));
  };
  const showRows = async (place, rows) => {
    const latest = begin(place);
    const contents = rows.length ? await answer("rows", { rows }) : [];
    if (latest()) gallery(place, contents, rows);
  };

  // -- selection ----------------------------------------------------------------------------------------------------

  const choose = (rows) => { points.selected.indices = rows; };
  const selection = async () => {
    const latest = begin("selection");
    selected = [...points.selected.indices].filter((i) => i >= 0 && i < n);
    const single = selected.length === 1;
    if (single) {
      last = [...last.filter((row) => row !== selected[0]), selected[0]].slice(-2);
      get("part-row").value = data.numbers[selected[0]];
      get("last").value = data.numbers[selected[0]];
      if (last.length === 2) get("first").value = data.numbers[last[0]];
    }
    const held = new Map();
    for (const i of selected) held.set(groups[i], (held.get(groups[i]) ?? 0) + 1);
    const most = [...held].sort((a, b) => b[1] - a[1]).slice(0, 5).map(([group, m]) => `${title(group)}: ${count(m)}`);
    let words = "None yet: click a row on the map, draw around some, or give numbers.";
    if (single) words = `${nameOf(selected[0])}${data.hasCategories ? `: ${title(groups[selected[0]])}, probability ${probability[selected[0]].toFixed(2)}` : ""}`;
    else if (selected.length) words = `${rowsOf(selected.length)}${data.hasCategories ? `; ${most.join(", ")}` : ""}${selected.length > 24 ? "; 24 of them are shown" : ""}.`;
    get("rows-words").textContent = words;
    get("near-part").hidden = !single;
    await showRows(get("rows"), some(selected, 24));
    if (!single || !latest()) return;
    const [near] = await answer("near", { rows: selected });
    if (!latest()) return;
    get("near-title").textContent = near.length ? `Its neighbours: rows with the most alike codes` : "Its neighbours are not kept here";
    await showRows(get("near"), near);
  };
  points.selected.properties.indices.change.connect(guarded(selection));
  plot.on_event("tap", (event) => setTimeout(() => {  // after the tool: of points that lie on each other the nearest
    const hit = [...points.selected.indices];
    if (hit.length < 2) return;
    const [x, y] = [points.get("x"), points.get("y")];
    const [wide, high] = [plot.x_range.end - plot.x_range.start, plot.y_range.end - plot.y_range.start];
    const far = (i) => ((x[i] - event.x) / wide) ** 2 + ((y[i] - event.y) / high) ** 2;
    choose([hit.reduce((best, i) => (far(i) < far(best) ? i : best))]);
  }, 0));
  const rowOf = (text) => {
    if (!/^\d+$/.test(text) || !position.has(Number(text))) throw new Error(`row ${text || "?"}: expected the number of a row shown here, such as ${data.numbers[0]}`);
    return position.get(Number(text));
  };
  const rowIn = (id) => rowOf(get(id).value.trim());
  const rowsIn = (text) => text.split(",").flatMap((part) => {  // numbers, and ranges such as 10-20
    const range = /^(\d+)\s*-\s*(\d+)$/.exec(part.trim());
    if (!range) return [rowOf(part.trim())];
    const [low, high] = range.slice(1).map(Number);
    const found = [...position].filter(([number]) => number >= low && number <= high).map(([, row]) => row);
    if (!found.length) throw new Error(`rows ${part.trim()}: none of them is shown here; expected numbers such as ${data.numbers[0]}`);
    return found;
  });
  get("by-number").addEventListener("submit", guarded(() => choose([...new Set(rowsIn(get("number").value))])));
  get("clear").addEventListener("click", guarded(() => choose([])));
  get("export").addEventListener("click", guarded(async () => {
    if (!selected.length) throw new Error("no row is selected; click a row, or draw around some");
    const found = await answer("lines", { rows: selected });
    const label = (row) => quoted(names.get(groups[row]) ?? String(groups[row]));
    const lines = selected.map((row, i) => (data.hasCategories ? `${label(row)},${found.lines[i]}` : found.lines[i]));
    offer("selection.csv", [data.hasCategories ? `label,${found.head}` : found.head, ...lines]);
  }));

  // -- categories: the list, the card, and what the user makes of them ------------------------------------------------

  const list = () => {
    if (!data.hasCategories) return;
    const size = [...sizes()].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
    replaced(get("groups"), size.map(([group, m]) => {
      const swatch = make("span", { class: "swatch" });
      swatch.style.background = colourOf(group);
      const button = make("button", { type: "button", "aria-pressed": String(group === shown), onclick: guarded(() => card(group)) },
        swatch, make("span", { class: "name" }, title(group)), make("span", { class: "share" }, percent(m / n)));
      return make("li", {}, button);
    }));
    const category = get("draw-category");
    const before = category.value;
    category.replaceChildren(make("option", { value: "" }, "any"), ...cards.map((_, k) => make("option", { value: k }, names.has(k) ? `${k} ${names.get(k)}` : String(k))));
    category.value = before;
  };
  const card = async (group) => {
    const latest = begin("card");
    shown = group;
    list();
    const own = members(group);
    get("card").hidden = false;
    get("card-title").textContent = `${title(group)}: ${rowsOf(own.length)} (${percent(own.length / n)})`;
    const whole = isOwn(group);
    const said = traits.get(group) ?? (whole ? cards[group].traits : "");
    get("card-words").textContent = said ? `In words: ${said}.` : whole ? "" : "Made on this page.";
    get("card-notes").textContent = whole ? [cards[group].judged, cards[group].sure].filter(Boolean).map((text) => `${text}.`).join(" ") : "";
    get("card-draw").disabled = !whole;
    get("name").value = names.get(group) ?? "";
    const others = [...sizes().keys()].filter((other) => other !== group).sort((a, b) => a - b);
    get("other").replaceChildren(...others.map((other) => make("option", { value: other }, title(other))));
    for (const button of get("merge").querySelectorAll("button")) button.disabled = !others.length;
    get("undo").disabled = !past.length;
    get("split").hidden = !data.live;
    get("save").textContent = data.live ? "Save labels" : "Download labels";
    get("save-note").textContent = data.live ? `writes ${data.out}, and names into the model` : "";
    get("card-typical-title").textContent = whole ? "Typical rows" : "Some of its rows";
    await showRows(get("card-typical"), whole ? cards[group].typical : some(own, 8));
    if (!latest()) return;
    const border = whole ? cards[group].border : [];
    get("card-border-part").hidden = !border.length;
    await showRows(get("card-border"), border);
  };
  const changed = async (group) => {
    const latest = begin("groups");
    number();
    if (get("colour").value === "category") await colour();
    await card(group);
    if (![...groups].some((one, i) => one !== category[i])) { traits = new Map(); return; }
    if (!latest()) return;
    const found = await answer("traits", { groups: Array.from(groups) });
    if (!latest()) return;
    traits = new Map(Object.entries(found).map(([k, words]) => [Number(k), words]));
    await card(shown);
  };
  const remember = () => { past.push([Int32Array.from(groups), new Map(names), shown]); };
  const put = async (rows, group, then = group) => {
    remember();
    for (const row of rows) groups[row] = group;
    await changed(then);
  };
  const next = () => Math.max(cards.length - 1, ...groups) + 1;
  const on = (id, event, work) => { if (get(id)) get(id).addEventListener(event, guarded(work)); };
  on("rename", "submit", async () => {
    const name = get("name").value.trim();
    const taken = [...names].find(([group, other]) => group !== shown && other.toLowerCase() === name.toLowerCase());
    if (name && taken) throw new Error(`${name} is the name of another category; give another, or merge the two`);
    remember();
    if (name) names.set(shown, name);
    else names.delete(shown);
    await changed(shown);
    say(name ? `${name}: kept when you save.` : "The name is taken away.");
  });
  on("merge", "submit", async () => {
    const other = Number(get("other").value);
    await put(members(other), shown);
    say("Merged; Undo takes it back.");
  });
  on("split", "click", async () => {
    const rows = members(shown);
    const half = await answer("split", { rows });
    const group = next();
    await put(rows.filter((_, i) => half[i]), group, shown);
    say(`Split: the smaller half is ${title(group)}. Undo takes it back.`);
  });
  on("split-off", "click", async () => {
    const rows = selected.filter((row) => groups[row] === shown);
    if (!rows.length || rows.length === members(shown).length) throw new Error("select some rows of this category, not all: draw around them on the map");
    const group = next();
    await put(rows, group);
    say(`${rowsOf(rows.length)} are now ${title(group)}. Undo takes it back.`);
  });
  on("undo", "click", async () => {
    const before = past.pop();
    if (!before) return;
    [groups, names] = before;
    const used = sizes();
    await changed(used.has(before[2]) ? before[2] : [...used.keys()][0]);
  });
  on("save", "click", async () => {
    if (data.live) {
      say(await answer("save", { groups: Array.from(groups), names: Object.fromEntries(names) }));
      return;
    }
    const known = Object.keys(data.known);
    const lines = Array.from(groups, (group, i) => [data.numbers[i], ...known.map((name) => quoted(data.known[name][i])), quoted(names.get(group) ?? String(group)), category[i], probability[i].toFixed(6)].join(","));
    offer("labels.csv", [data.headings.map(quoted).join(","), ...lines]);
  });
  on("card-select", "click", () => choose(members(shown)));
  on("card-draw", "click", async () => {
    get("how").value = "category";
    get("draw-category").value = shown;
    await draw();
    get("draw-title").scrollIntoView({ block: "start" });
  });

  // -- new rows -----------------------------------------------------------------------------------------------------

  const ways = [
    ["category", data.hasCategories ? "from a category" : "from the model"],
    ["between", "between two rows"],
    ...(data.takesGiven ? [["given", "with given cells"]] : []),
    ...(data.parts.length ? [["part", "with a half of a row"]] : []),
  ];
  for (const [value, text] of ways) get("how").append(make("option", { value }, text));
  const how = () => {
    for (const label of get("draw").querySelectorAll("[class^=of-]")) label.hidden = !label.classList.contains(`of-${get("how").value}`);
  };
  get("how").addEventListener("change", how);
  let seed = 0;
  const draw = async () => {
    const way = get("how").value;
    const asked = { how: way, n: 8, seed: seed++ };
    if (way === "category" || way === "given") {
      const chosen = get("draw-category") ? get("draw-category").value : "";
      asked.category = chosen === "" ? null : Number(chosen);
    }
    if (way === "given") asked.given = get("given").value.split("\n");
    if (way === "part") Object.assign(asked, { part: get("part").value, row: rowIn("part-row") });
    if (way === "between") Object.assign(asked, { first: rowIn("first"), last: rowIn("last") });
    const words = {
      category: `New rows drawn from ${asked.category === null || asked.category === undefined ? "the whole model" : title(asked.category)}${data.kind === "picture" ? ": means of p(x | z, c)" : ""}.`,
      given: "New rows that have the given cells.",
      part: `The model completes a half of row ${get("part-row").value}, eight times.`,
      between: `On the way from the code of row ${get("first").value} to that of row ${get("last").value}: first and last are their reconstructions.`,
    };
    const latest = begin("draw");
    const rows = await answer("draw", asked);
    if (!latest()) return;
    get("drawn-words").textContent = words[way];
    gallery(get("drawn"), rows, null);
  };
  get("draw").addEventListener("submit", guarded(draw));

  how();
  number();
  await colour();
  list();
  if (data.hasCategories) await card([...sizes()].sort((a, b) => b[1] - a[1])[0][0]);
  document.documentElement.dataset.ready = "yes";
})().catch((error) => { document.getElementById("status").textContent = error.message; throw error; });
