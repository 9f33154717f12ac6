"use strict";
const content = JSON.parse(document.getElementById("content").textContent);
const GUTTER = 178, JOINT_PX = 132, LANE_PX = 20, AGE_PX = 96, TICKS_PX = 46;
const colours = content.colours, whole = [content.begin, Math.max(content.end, content.begin + 1e-3)], duration = whole[1] - whole[0];
const shown = {commanded: true, measured: true, merged: true, refused: true, bounds: true};
let range = whole, cursor = null, rows = [];

const byId = (id) => document.getElementById(id);
const make = (parent, tag, text, attributes) => {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const name in attributes || {}) made.setAttribute(name, attributes[name]);
  parent.appendChild(made);
  return made;
};
const draw = (parent, tag, attributes, text) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
};

/* numbers and places */
const width = () => Math.max(byId("rows").clientWidth - GUTTER - 18, 200);
const x = (t) => (t - range[0]) / (range[1] - range[0]) * width();
const timeAt = (px) => range[0] + px / width() * (range[1] - range[0]);
const firstAfter = (times, t) => {  // place of the first time above t
  let low = 0, high = times.length;
  while (low < high) { const middle = (low + high) >> 1; if (times[middle] <= t) low = middle + 1; else high = middle; }
  return low;
};
const valueAt = (curve, t) => curve && curve[0].length && t >= curve[0][0] ? curve[1][firstAfter(curve[0], t) - 1] : null;
const written = (value) => value === null || value === undefined ? "–" :
  Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(2) :
  String(+value.toPrecision(4));
const steps = (low, high, count) => {  // round numbers from low to high
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((s) => s >= raw * .999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(+(i * step).toPrecision(12));
  return found;
};
const dayTime = (t) => content.began ? new Date(Date.parse(content.began) + t * 1000).toISOString().slice(11, 23) + " UTC" : "";
const lineOf = (curve, y) => {  // path through the points in range, with one more on either side; one alone is a dot
  const [times, values] = curve;
  const begin = Math.max(firstAfter(times, range[0]) - 1, 0), end = Math.min(firstAfter(times, range[1]) + 1, times.length);
  let path = "", isDown = false;
  for (let i = begin; i < end; i++) {
    if (values[i] === null) { isDown = false; continue; }
    const isAlone = !isDown && (i + 1 >= end || values[i + 1] === null);
    path += (isDown ? "L" : "M") + x(times[i]).toFixed(1) + " " + y(values[i]).toFixed(1) + (isAlone ? "h0" : "");
    isDown = true;
  }
  return path;
};
const inRange = (fan) => fan.times.length && fan.times[fan.times.length - 1] >= range[0] && fan.captured <= range[1];
const extent = (curves, more) => {
  let low = Infinity, high = -Infinity;
  for (const curve of curves) {
    if (!curve) continue;
    const begin = Math.max(firstAfter(curve[0], range[0]) - 1, 0), end = Math.min(firstAfter(curve[0], range[1]) + 1, curve[0].length);
    for (let i = begin; i < end; i++) {
      const value = curve[1][i];
      if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); }
    }
  }
  for (const value of more) { low = Math.min(low, value); high = Math.max(high, value); }
  if (low > high) return [0, 1];
  const margin = (high - low) * .08 || Math.abs(high) * .1 || .5;
  return [low - margin, high + margin];
};

/* rows */
const row = (name, unit, height, className) => {
  const outer = make(byId("rows"), "div", "", {class: "row " + (className || "")});
  const label = make(outer, "div", "", {class: "label"});
  if (name) make(label, "b", name);
  if (unit) make(label, "span", unit, {class: "unit"});
  const plot = make(outer, "div", "", {class: "plot"});
  const svg = draw(plot, "svg", {height: height, role: "img", "aria-label": name || "time"});
  return {label: label, svg: svg, height: height, outer: outer};
};
const grid = (svg, height, y, low, high) => {
  for (const t of steps(range[0], range[1], width() / 110)) draw(svg, "line", {x1: x(t), x2: x(t), y1: 0, y2: height, class: "grid"});
  if (!y) return;
  for (const value of steps(low, high, Math.max(height / 36, 2))) {
    draw(svg, "line", {x1: 0, x2: width(), y1: y(value), y2: y(value), class: "grid"});
    if (y(value) > 8 && y(value) < height - 2) draw(svg, "text", {x: 3, y: y(value) - 2, class: "small"}, written(value));
  }
};
const boundaries = (svg, height) => {
  for (const [number, at] of content.episodes)
    if (at > whole[0] && at >= range[0] && at <= range[1]) draw(svg, "line", {x1: x(at), x2: x(at), y1: 0, y2: height, class: "episode", "data-episode": number});
};
const motionLane = content.lanes.indexOf("motion");
const phases = (svg, height) => {
  for (const [lane, state, begin, end] of content.bands) {
    if (lane !== motionLane || state === "playing" || shown["phases " + state] === false || end < range[0] || begin > range[1]) continue;
    draw(svg, "rect", {x: x(begin), y: 0, width: Math.max(x(end) - x(begin), 1), height: height, fill: colours.states[state], opacity: .16, class: "phase"});
  }
};

const axisRow = () => {
  const made = row("", "", 22, "axis");
  make(made.label, "span", "time (s)", {class: "unit"});
  made.draw = () => {
    for (const t of steps(range[0], range[1], width() / 110)) {
      const digits = Math.max(0, -Math.floor(Math.log10((range[1] - range[0]) / 8)));
      draw(made.svg, "line", {x1: x(t), x2: x(t), y1: 16, y2: 22, stroke: "#8a8f94"});
      draw(made.svg, "text", {x: Math.min(Math.max(x(t), 12), width() - 22), y: 12, "text-anchor": "middle"}, t.toFixed(Math.min(digits, 4)));
    }
  };
  return made;
};

const cameraRow = (camera) => {
  const pictures = content.pictures.filter((picture) => picture.camera === camera);
  const tall = 84, made = row(camera, "camera", tall + 16, "camera");
  const near = make(made.label, "img", "", {alt: ""});
  const nearest = (t) => {
    const after = firstAfter(pictures.map((picture) => picture.at), t);
    return pictures[Math.max(after - 1, 0)];
  };
  made.draw = () => {
    let free = -Infinity;
    for (const picture of pictures) {
      if (picture.at < range[0] || picture.at > range[1]) continue;
      const wide = tall * picture.width / picture.height, left = Math.min(x(picture.at), Math.max(width() - wide, 0));
      if (left < free) continue;
      free = left + wide + 4;
      draw(made.svg, "image", {href: picture.uri, x: left, y: 0, width: wide, height: tall, preserveAspectRatio: "none"});
      draw(made.svg, "line", {x1: x(picture.at), x2: x(picture.at), y1: tall, y2: tall + 5, stroke: "#333"});
      draw(made.svg, "text", {x: left + 2, y: tall + 13, class: "small"}, picture.at.toFixed(2) + " s");
    }
  };
  made.tell = (t) => {
    near.style.display = t === null ? "none" : "";
    if (t !== null) { near.src = nearest(t).uri; near.title = nearest(t).at.toFixed(2) + " s"; }
  };
  return made;
};

const lanesRow = () => {
  const lanes = [...content.lanes, ...(content.fans.length ? ["chunks"] : [])];
  const made = row("", "", lanes.length * LANE_PX + 18, "lanes");
  made.label.style.padding = "16px 10px 0 18px";
  for (const lane of lanes) make(made.label, "div", lane, {style: "height:" + LANE_PX + "px;text-align:right"});
  made.draw = () => {
    boundaries(made.svg, made.height);
    for (const [number, at] of content.episodes)
      if (at >= range[0] && at <= range[1]) draw(made.svg, "text", {x: x(at) + 3, y: 11, class: "small"}, "episode " + number);
    for (const [lane, state, begin, end] of content.bands) {
      if (end < range[0] || begin > range[1]) continue;
      const left = Math.max(x(begin), 0), wide = Math.max(Math.min(x(end), width()) - left, 1), top = 16 + lane * LANE_PX;
      const band = draw(made.svg, "rect", {x: left, y: top + 1, width: wide, height: LANE_PX - 3, fill: colours.states[state], class: "band", "data-state": state});
      draw(band, "title", {}, content.lanes[lane] + ": " + state + ", " + begin.toFixed(3) + " to " + end.toFixed(3) + " s");
      if (wide > state.length * 6.6 + 6 && lane < 2)
        draw(made.svg, "text", {x: left + 4, y: top + 13, style: isDark(colours.states[state]) ? "fill:#fff" : "", "pointer-events": "none"}, state);
    }
    const middle = 16 + (lanes.length - 1) * LANE_PX + LANE_PX / 2 - 1;
    for (const fan of content.fans) {
      if (fan.arrived < range[0] || fan.arrived > range[1]) continue;
      const at = x(fan.arrived), isMerged = fan.merged;
      const path = isMerged ? "M" + at + " " + (middle - 5) + "v10" : "M" + (at - 4) + " " + (middle - 4) + "l8 8m0 -8l-8 8";
      const mark = draw(made.svg, "path", {d: path, stroke: isMerged ? colours.fan : colours.refused, "stroke-width": isMerged ? 1 : 2, class: "arrival"});
      draw(mark, "title", {}, "request " + fan.seq + ": " + fan.outcome + " at " + fan.arrived.toFixed(3) + " s, " + fan.length + " actions from step " + fan.step);
    }
  };
  return made;
};
const isDark = (colour) => {
  const [red, green, blue] = [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16));
  return red * .299 + green * .587 + blue * .114 < 140;
};

const ageRow = () => {
  const hasAge = content.age[1].some((value) => value !== null);
  if (!hasAge && !content.latency[0].length) return null;
  const made = row(hasAge ? "age of the action" : "latency of a chunk", "ms", AGE_PX), now = make(made.label, "span", "", {class: "now"});
  made.draw = () => {
    const isNear = content.max_age !== null && extent([content.age, content.latency], [])[1] > content.max_age * .4;
    const [low, high] = extent([content.age, content.latency], isNear ? [0, content.max_age] : [0]);
    const y = (value) => AGE_PX - (value - low) / (high - low) * AGE_PX;
    grid(made.svg, AGE_PX, y, low, high);
    phases(made.svg, AGE_PX);
    boundaries(made.svg, AGE_PX);
    draw(made.svg, "path", {d: lineOf(content.age, y), fill: "none", stroke: "#333", "stroke-width": 1.2, class: "age"});
    content.latency[0].forEach((t, i) => {
      if (t >= range[0] && t <= range[1] && content.latency[1][i] !== null) draw(made.svg, "circle", {cx: x(t), cy: y(content.latency[1][i]), r: 2.2, fill: colours.commanded});
    });
    if (content.max_age === null) return;
    if (isNear) draw(made.svg, "line", {x1: 0, x2: width(), y1: y(content.max_age), y2: y(content.max_age), stroke: colours.states.fallback || "#d55e00", "stroke-dasharray": "6 3", class: "max-age"});
    draw(made.svg, "text", {x: width() - 4, style: "paint-order:stroke;stroke:#fff;stroke-width:4px", y: isNear ? y(content.max_age) + 12 : 11, "text-anchor": "end"}, "never older than " + content.max_age + " ms" + (isNear ? "" : " (far above)"));
  };
  made.tell = (t) => { now.textContent = t === null ? "● latency of a chunk" : written(valueAt(content.age, t)) + " ms"; };
  return made;
};

const jointRow = (track, place) => {
  const made = row(track.name, track.unit || "unit not stated", JOINT_PX, "joint");
  const now = make(made.label, "span", "", {class: "now"});
  const columnOf = (fan) => track.column === null ? null : fan.values[place];
  made.draw = () => {
    const fans = content.fans.filter((fan) => inRange(fan) && columnOf(fan) && shown[fan.merged ? "merged" : "refused"]);
    const values = fans.filter((fan) => fan.merged).flatMap(columnOf).filter((value) => value !== null);
    const [low, high] = extent([shown.commanded && track.commanded, shown.measured && track.measured], values);
    const y = (value) => JOINT_PX - (value - low) / (high - low) * JOINT_PX;
    grid(made.svg, JOINT_PX, y, low, high);
    phases(made.svg, JOINT_PX);
    boundaries(made.svg, JOINT_PX);
    for (const bound of ["lower", "upper"])
      if (shown.bounds && track[bound] !== null && track[bound] >= low && track[bound] <= high)
        draw(made.svg, "line", {x1: 0, x2: width(), y1: y(track[bound]), y2: y(track[bound]), stroke: colours.bound, "stroke-dasharray": "8 4", class: "bound"});
    const current = fanAt(cursor);
    for (const isMerged of [true, false]) {
      const path = fans.filter((fan) => (fan.merged) === isMerged).map((fan) => lineOf([fan.times, columnOf(fan)], y)).join("");
      if (path) draw(made.svg, "path", {d: path, fill: "none", stroke: isMerged ? colours.fan : colours.refused, "stroke-width": 1.2, opacity: isMerged ? .75 : .85, "stroke-dasharray": isMerged ? "" : "4 2", class: isMerged ? "fan" : "fan refused"});
    }
    if (shown.measured && track.measured) draw(made.svg, "path", {d: lineOf(track.measured, y), fill: "none", stroke: colours.measured, "stroke-width": 1.6, class: "measured"});
    if (shown.commanded && track.commanded) draw(made.svg, "path", {d: lineOf(track.commanded, y), fill: "none", stroke: colours.commanded, "stroke-width": 1.6, class: "commanded"});
    made.mark = draw(made.svg, "path", {d: "", fill: "none", stroke: "#1d2428", "stroke-width": 1.8, class: "current"});
    made.y = y;
  };
  made.tell = (t) => {
    const fan = fanAt(t);
    made.mark.setAttribute("d", fan && columnOf(fan) ? lineOf([fan.times, columnOf(fan)], made.y) : "");
    now.textContent = t === null ? "" : [["commanded", track.commanded], ["measured", track.measured]]
      .filter(([, curve]) => curve).map(([name, curve]) => name + " " + written(valueAt(curve, t))).join("\n");
    now.style.whiteSpace = "pre";
  };
  return made;
};
const merged = content.fans.filter((fan) => fan.merged), arrivals = merged.map((fan) => fan.arrived);
const fanAt = (t) => {  // the chunk that was merged last
  if (t === null) return null;
  const fan = merged[firstAfter(arrivals, t) - 1];
  return fan && fan.times[fan.times.length - 1] >= t ? fan : null;
};

/* keys */
const key = (name, text, drawing) => {
  const button = make(byId("keys"), "button", "", {class: "key", "aria-pressed": "true", "data-key": name});
  draw(draw(button, "svg", {}), "path", drawing);
  make(button, "span", text);
  button.onclick = () => { shown[name] = shown[name] === false; button.setAttribute("aria-pressed", shown[name]); render(); };
};
const keys = () => {
  if (content.tracks.some((track) => track.commanded)) key("commanded", "commanded", {d: "M0 6H26", stroke: colours.commanded, "stroke-width": 2.5});
  if (content.tracks.some((track) => track.measured)) key("measured", "measured", {d: "M0 6H26", stroke: colours.measured, "stroke-width": 2.5});
  if (merged.length) key("merged", "chunks, as predicted", {d: "M0 10C8 8 14 6 26 1M0 10C10 9 18 9 26 9M0 10C8 9 16 7 26 5", stroke: colours.fan, fill: "none"});
  if (merged.length < content.fans.length) key("refused", "chunks that were refused", {d: "M0 6H26", stroke: colours.refused, "stroke-width": 1.5, "stroke-dasharray": "4 2"});
  if (content.tracks.some((track) => track.lower !== null || track.upper !== null)) key("bounds", "position limit", {d: "M0 6H26", stroke: colours.bound, "stroke-dasharray": "8 4"});
  const others = [...new Set(content.bands.filter(([lane, state]) => lane === motionLane && state !== "playing").map(([, state]) => state))];
  for (const state of others) key("phases " + state, state, {d: "M0 0H26V12H0Z", fill: colours.states[state], opacity: .45});
  if (content.fans.length < content.fans_of) make(byId("keys"), "span", content.fans.length + " of " + content.fans_of + " chunks are drawn", {class: "key"});
};

/* what one does */
const render = () => {
  for (const one of rows) { one.svg.replaceChildren(); one.draw(); }
  tell(cursor);
};
const tell = (t) => {
  cursor = t;
  for (const one of rows) if (one.tell) one.tell(t);
  const line = byId("cursor"), step = t === null ? null : valueAt(content.steps, t), fan = fanAt(t);
  line.style.display = t === null ? "none" : "block";
  line.style.left = GUTTER + (t === null ? 0 : x(t)) + "px";
  byId("told").textContent = t === null ? "" :
    [t.toFixed(3) + " s", dayTime(t), step === null ? "" : "step " + step, fan ? "request " + fan.seq : ""].filter((text) => text).join(" · ");
};
const look = (begin, end) => {
  const length = Math.min(Math.max(end - begin, duration / 5000, .02), duration);
  const first = Math.min(Math.max(begin, whole[0]), whole[1] - length);
  range = [first, first + length];
  render();
};
const zoom = (factor, at) => look(at - (at - range[0]) * factor, at + (range[1] - at) * factor);
const middle = () => cursor === null ? (range[0] + range[1]) / 2 : cursor;
const shift = (share) => look(range[0] + share * (range[1] - range[0]), range[1] + share * (range[1] - range[0]));
const placeOf = (event) => event.clientX - byId("rows").getBoundingClientRect().left - GUTTER;
const listen = () => {
  const main = byId("rows"), chosen = byId("chosen");
  let from = null;
  main.addEventListener("pointermove", (event) => {
    const px = placeOf(event);
    if (px < 0 || px > width()) return;
    tell(timeAt(px));
    if (from === null) return;
    Object.assign(chosen.style, {display: "block", left: GUTTER + Math.min(from, px) + "px", width: Math.abs(px - from) + "px"});
  });
  main.addEventListener("pointerleave", () => { if (from === null) tell(null); });
  main.addEventListener("pointerdown", (event) => { if (event.button === 0 && placeOf(event) >= 0) { from = placeOf(event); event.preventDefault(); } });
  window.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const to = Math.min(Math.max(placeOf(event), 0), width()), begin = from;
    from = null;
    chosen.style.display = "none";
    if (Math.abs(to - begin) > 5) look(timeAt(Math.min(begin, to)), timeAt(Math.max(begin, to)));
  });
  main.addEventListener("dblclick", () => look(...whole));
  main.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : .8, timeAt(Math.max(placeOf(event), 0)));
  }, {passive: false});
  const does = {earlier: () => shift(-.5), later: () => shift(.5), closer: () => zoom(.5, middle()), farther: () => zoom(2, middle()), whole: () => look(...whole)};
  for (const id in does) byId(id).onclick = does[id];
  const typed = {ArrowLeft: "earlier", ArrowRight: "later", "+": "closer", "-": "farther", "0": "whole"};
  window.addEventListener("keydown", (event) => { if (typed[event.key] && !event.ctrlKey && !event.metaKey) { does[typed[event.key]](); event.preventDefault(); } });
  window.addEventListener("resize", render);
};

const begin = () => {
  for (const [label, text] of content.facts) { const fact = make(byId("facts"), "div"); make(fact, "dt", label); make(fact, "dd", text); }
  for (const text of content.warnings) make(byId("warnings"), "li", text);
  keys();
  rows.push(axisRow());
  for (const camera of new Set(content.pictures.map((picture) => picture.camera))) rows.push(cameraRow(camera));
  if (content.lanes.length || content.fans.length) rows.push(lanesRow());
  rows.push(ageRow());
  let place = 0;
  for (const track of content.tracks) rows.push(jointRow(track, track.column === null ? null : place++));
  rows = rows.filter((one) => one);
  make(byId("rows"), "div", "", {id: "cursor"});
  make(byId("rows"), "div", "", {id: "chosen"});
  listen();
  render();
};
begin();
