"use strict";
(() => {
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const scroller = byId("scroller"), canvas = byId("canvas"), plot = byId("plot"), rows = byId("rows");
  const SVG = "http://www.w3.org/2000/svg";
  const start = Date.parse(data.begin.slice(0, 23) + "Z");
  root.classList.add("js");

  // The events: a row in the table and any number of marks in the drawing share a position.
  const tableRows = [...rows.querySelectorAll("tbody tr")];
  const rowOf = new Map(tableRows.map((row) => [row.dataset.e, row]));
  const marks = [...plot.querySelectorAll("a[data-e]")];
  const marksOf = new Map();
  for (const mark of marks) {
    for (const position of mark.dataset.e.split(" ")) {
      if (!marksOf.has(position)) marksOf.set(position, []);
      marksOf.get(position).push(mark);
    }
    mark.setAttribute("tabindex", "-1");
  }

  // Times.
  const pad = (number, digits = 2) => String(number).padStart(digits, "0");
  const clock = (ms, digits = 3) => {
    const at = new Date(start + ms);
    const whole = `${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}:${pad(at.getUTCSeconds())}`;
    return digits ? `${whole}.${pad(at.getUTCMilliseconds(), 3).slice(0, digits)}` : whole;
  };
  const length = (ms) => {
    const s = Math.abs(ms) / 1000;
    if (s < 0.005) return "0s";
    if (s < 10) return `${s.toFixed(s < 1 ? 2 : 1)}s`;
    if (s < 60) return `${Math.round(s)}s`;
    const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
    const first = units.findIndex(([, size]) => s >= size);
    const big = Math.floor(s / units[first][1]);
    const small = Math.floor((s % units[first][1]) / units[first + 1][1]);
    return `${big}${units[first][0]}` + (small ? ` ${small}${units[first + 1][0]}` : "");
  };

  // Zoom: the canvas grows wider and its container scrolls; everything in it stands at percents of its width.
  let zoom = 1;
  const labelsWidth = () => plot.getBoundingClientRect().left - canvas.getBoundingClientRect().left;
  const plotWidth = () => plot.getBoundingClientRect().width;
  const visible = () => {
    const share = data.length / plotWidth();
    const wide = scroller.clientWidth - labelsWidth();
    return [scroller.scrollLeft * share, (scroller.scrollLeft + wide) * share];
  };
  const mostZoom = () => Math.max(1, Math.min(400, 400000 / scroller.clientWidth, data.length / 20));
  const setZoom = (wanted, ms) => {
    const [from, to] = visible();
    const middle = ms === undefined ? (from + to) / 2 : ms;
    const share = to > from ? (middle - from) / (to - from) : 0.5;
    zoom = Math.min(mostZoom(), Math.max(1, wanted));
    const labels = labelsWidth();
    const wide = scroller.clientWidth - labels;
    canvas.style.width = zoom === 1 ? "" : `${labels + wide * zoom}px`;
    scroller.scrollLeft = (middle / data.length) * wide * zoom - share * wide;
    drawAxis();
  };
  const pan = (share) => { scroller.scrollLeft += share * (scroller.clientWidth - labelsWidth()); };
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5,
    72e5, 108e5, 216e5, 432e5, 864e5, 1728e5, 6048e5, 12096e5, 2592e6, 7776e6, 31536e6];
  const drawAxis = () => {
    const [from, to] = visible();
    byId("span").textContent = zoom === 1 ? `${length(data.length)} shown` : `${clock(from, 1)} to ${clock(to, 1)}`;
    const wide = scroller.clientWidth - labelsWidth();
    const step = steps.find((each) => ((to - from) / each) * 85 <= wide) || steps[steps.length - 1];
    const first = Math.max(0, from - (to - from)), last = Math.min(data.length, to + (to - from));
    const ticks = [], lines = [];
    for (let at = Math.ceil((start + first) / step) * step - start; at <= last; at += step) {
      const x = `${(100 * at) / data.length}%`;
      const date = new Date(start + at).toISOString();
      const text = step < 1000 ? date.slice(11, 23) : step < 6e4 ? date.slice(11, 19) : step < 432e5 ? date.slice(11, 16) : date.slice(0, 10);
      // A label at the very edge would be cut in two.
      const inside = (at / data.length) * plotWidth() > 34 && (1 - at / data.length) * plotWidth() > 34;
      const tick = document.createElementNS(SVG, "line");
      for (const [name, value] of Object.entries({ x1: x, x2: x, y1: 20, y2: 26 })) tick.setAttribute(name, value);
      const label = document.createElementNS(SVG, "text");
      for (const [name, value] of Object.entries({ x, y: 15, "text-anchor": "middle" })) label.setAttribute(name, value);
      label.textContent = inside ? text : "";
      ticks.push(tick, label);
      const line = document.createElementNS(SVG, "line");
      for (const [name, value] of Object.entries({ x1: x, x2: x, y1: 0, y2: "100%", class: "grid" })) line.setAttribute(name, value);
      lines.push(line);
    }
    byId("ticks").replaceChildren(...ticks);
    byId("grid").replaceChildren(...lines);
    fitLabels();
  };
  // A name that does not fit into its bar is left out rather than cut in two.
  const named = [...plot.querySelectorAll("text[data-label]")].map((text) => {
    return { text, share: parseFloat(text.ownerSVGElement.getAttribute("width")) / 100, needs: 10 + 6.4 * text.textContent.length };
  });
  let fittedTo = 0;
  const fitLabels = () => {
    const width = plotWidth();
    if (width === fittedTo) return;
    fittedTo = width;
    for (const { text, share, needs } of named) text.toggleAttribute("hidden", share * width < needs);
  };
  let scheduled = false;
  const later = (work) => {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => { scheduled = false; work(); });
  };
  scroller.addEventListener("scroll", () => later(drawAxis));
  addEventListener("resize", () => setZoom(zoom));
  const msAt = (clientX) => ((clientX - plot.getBoundingClientRect().left) / plotWidth()) * data.length;
  scroller.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) return;
    event.preventDefault();
    setZoom(zoom * Math.exp(-event.deltaY / 300), msAt(event.clientX));
  }, { passive: false });
  const actions = {
    in: () => setZoom(zoom * 1.6, focusTime()), out: () => setZoom(zoom / 1.6, focusTime()), fit: () => setZoom(1),
    left: () => pan(-0.5), right: () => pan(0.5),
  };
  const focusTime = () => {
    const [from, to] = visible();
    return moment >= from && moment <= to ? moment : undefined;
  };
  for (const button of document.querySelectorAll("button[data-do]")) button.addEventListener("click", () => actions[button.dataset.do]());

  // What the rules said at a moment.
  let moment = 0;
  const cursor = byId("cursor"), tasks = byId("then-task"), body = byId("then-body");
  for (const task of Object.keys(data.verdicts)) tasks.append(new Option(task, task));
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const link = (position) => {
    if (!rowOf.has(String(position))) return `#${position}`;
    const made = element("a", "ref", position);
    made.href = `#e${position}`;
    made.dataset.e = position;
    return made;
  };
  const standing = (task, ms) => {
    let found = null;
    for (const each of data.verdicts[task] || []) {
      if (each[0] > ms) break;
      found = each;
    }
    return found;
  };
  const described = (words, [at, position, , headline, coming]) => {
    const ago = moment - at < 1 ? "" : `, ${length(moment - at)} before`;
    const line = element("p");
    line.append(element("strong", "", words), ` ${data.texts[headline]} (as of `, link(position), `${ago})`);
    const list = element("ol");
    for (const [due, what] of coming) {
      const past = due !== null && due <= moment + 0.05;
      const item = element("li", past ? "past" : "");
      const far = due !== null && Math.abs(due - moment) > 432e5;
      const when = due === null ? "whenever" : `${far ? new Date(start + due).toISOString().slice(0, 16).replace("T", " ") : clock(due, 1)}, ${past ? `${length(moment - due)} ago` : `in ${length(due - moment)}`}`;
      item.append(element("span", "", past ? "✓" : due === null ? "·" : "○"), element("span", "when", when), element("span", "", data.texts[what]));
      list.append(item);
    }
    return [line, list];
  };
  const showMoment = () => {
    byId("then-time").textContent = clock(moment);
    cursor.value = (1000 * moment) / data.length;
    cursor.setAttribute("aria-valuetext", clock(moment));
    const x = `${(100 * moment) / data.length}%`;
    byId("now").setAttribute("x1", x);
    byId("now").setAttribute("x2", x);
    const task = tasks.value;
    const now = standing(task, moment + 0.05), before = standing(task, moment - 0.05);
    const shown = [];
    if (before) shown.push(...described(before === now ? `${task}:` : `${task} until then:`, before));
    if (now && now !== before) shown.push(...described(before ? "From then on:" : `${task}:`, now));
    if (!shown.length) shown.push(element("p", "", task ? `${task}: nothing is known yet.` : "No task is part of this."));
    body.replaceChildren(...shown);
  };
  const setMoment = (ms) => { moment = Math.min(data.length, Math.max(0, ms)); showMoment(); };
  cursor.addEventListener("input", () => setMoment((cursor.value / 1000) * data.length));
  tasks.addEventListener("change", showMoment);

  // Selecting an event: its row and its marks light up together.
  let picked = [];
  const reveal = (container, inner, sideways) => {
    const box = container.getBoundingClientRect(), it = inner.getBoundingClientRect();
    const top = it.top - box.top, room = container.clientHeight;
    if (top < 32 || top + it.height > room) container.scrollTop += top - room / 2;
    if (sideways !== undefined && (sideways < visible()[0] || sideways > visible()[1])) {
      scroller.scrollLeft = (sideways / data.length) * plotWidth() - (scroller.clientWidth - labelsWidth()) / 2;
    }
  };
  const select = (position, task, { fromRow = false, scroll = true } = {}) => {
    for (const each of picked) each.classList.remove("on");
    const row = rowOf.get(position);
    const drawn = marksOf.get(position) || [];
    picked = row ? [row, ...drawn] : drawn;
    for (const each of picked) each.classList.add("on");
    if (row && row.hidden) { byId("filter").value = ""; filter(); }
    const about = task || (row && row.dataset.task);
    if (about && data.verdicts[about]) tasks.value = about;
    if (row) setMoment(Number(row.dataset.t));
    if (row && !fromRow) reveal(rows, row);
    if (scroll && drawn.length) {
      const shown = drawn.find((mark) => mark.dataset.task) || drawn[0];
      reveal(scroller, shown, row ? Number(row.dataset.t) : undefined);
    }
  };
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const anchor = target && target.closest("a[data-e]");
    if (anchor) {
      event.preventDefault();
      const inPlot = plot.contains(anchor);
      if (inPlot) focusMark(anchor);
      select(anchor.dataset.e.split(" ")[0], anchor.dataset.task, { scroll: !inPlot, fromRow: false });
      if (!inPlot && !rows.contains(anchor)) byId("timeline").scrollIntoView({ block: "nearest" });
      return;
    }
    const row = target && target.closest("tbody tr");
    if (row && !String(getSelection())) { select(row.dataset.e, row.dataset.task, { fromRow: true }); return; }
    if (target && plot.contains(target)) setMoment(msAt(event.clientX));
  });
  plot.addEventListener("pointermove", (event) => {
    if (event.buttons & 1) setMoment(msAt(event.clientX));
  });

  // The keyboard: one stop for the drawing, arrows from mark to mark in the order of the log, and between lanes.
  let focused = null;
  const focusMark = (mark) => {
    if (focused) focused.setAttribute("tabindex", "-1");
    focused = mark;
    mark.setAttribute("tabindex", "0");
    mark.focus({ preventScroll: true });
    const row = rowOf.get(mark.dataset.e.split(" ")[0]);
    reveal(scroller, mark, row ? Number(row.dataset.t) : undefined);
  };
  const lanes = [...plot.querySelectorAll(".lane-group")];
  const inLane = (lane) => [...lane.querySelectorAll("a[data-e]")].sort((a, b) => order(a) - order(b));
  const order = (mark) => Number(mark.dataset.e.split(" ")[0]);
  const move = (along, across) => {
    const lane = focused ? lanes.indexOf(focused.closest(".lane-group")) : -1;
    if (lane < 0) {
      const first = lanes.map(inLane).find((each) => each.length);
      if (first) focusMark(first[0]);
      return;
    }
    if (across) {
      for (let next = lane + across; next >= 0 && next < lanes.length; next += across) {
        const there = inLane(lanes[next]);
        if (!there.length) continue;
        const here = order(focused);
        focusMark(there.reduce((best, each) => Math.abs(order(each) - here) < Math.abs(order(best) - here) ? each : best));
        return;
      }
      return;
    }
    const here = inLane(lanes[lane]);
    const next = here[here.indexOf(focused) + along];
    if (next) focusMark(next);
  };
  scroller.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {
      "+": actions.in, "=": actions.in, "-": actions.out, "0": actions.fit,
      ArrowLeft: () => event.shiftKey ? pan(-0.25) : move(-1, 0), ArrowRight: () => event.shiftKey ? pan(0.25) : move(1, 0),
      ArrowUp: () => move(0, -1), ArrowDown: () => move(0, 1),
      " ": () => focused && focused.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true })),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  // The filter.
  const texts = tableRows.map((row) => row.textContent.toLowerCase());
  const filter = () => {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    tableRows.forEach((row, number) => {
      row.hidden = !words.every((word) => texts[number].includes(word));
      if (!row.hidden) shown += 1;
    });
    byId("count").textContent = words.length ? `${shown} of ${tableRows.length}` : `${tableRows.length} events`;
  };
  byId("filter").addEventListener("input", filter);

  addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details")) each.open = true;
    setZoom(1);
  });
  filter();
  drawAxis();
  const first = document.querySelector("#causes a[data-e]");
  if (location.hash.startsWith("#e") && rowOf.has(location.hash.slice(2))) select(location.hash.slice(2));
  else if (first) select(first.dataset.e, undefined, { scroll: false });
  else setMoment(data.length / 2);
})();
