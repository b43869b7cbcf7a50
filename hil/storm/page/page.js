// Read-outs under the pointer. Values are taken back from the drawn paths, so the page holds every figure once.
"use strict";
(() => {
  const UNITS = 1000;
  const places = (shape) => {
    const found = [];
    let x = 0, y = 0;
    for (const [, letter, rest] of shape.matchAll(/([MhvlV])([-\d. ]*)/g)) {
      const [a, b] = rest.trim().split(" ").map(Number);
      if (letter === "M") [x, y] = [a, b];
      if (letter === "h") x += a;
      if (letter === "v") y += a;
      if (letter === "V") y = a;
      if (letter === "l") { x += a; y += b; }
      found.push([x, y]);
    }
    return found;
  };
  // A line that stays as it ended is read beyond its end, too.
  const heightAt = (line, column, stays) => {
    let height = stays && column > line.at(-1)[0] ? line.at(-1)[1] : null;
    for (let i = 1; i < line.length; i++) {
      const [x0, y0] = line[i - 1], [x1, y1] = line[i];
      if (x1 > x0 && x0 <= column && column <= x1) height = y0 + (y1 - y0) * (column - x0) / (x1 - x0);
    }
    return height === null ? null : UNITS - height;
  };
  const seconds = (s) => s < 1 ? (s * 1000).toPrecision(3) + " ms" : s < 60 ? s.toPrecision(3) + " s"
    : s < 3600 ? Math.floor(s / 60) + " min " + Math.floor(s % 60) + " s"
    : Math.floor(s / 3600) + " h " + Math.floor(s % 3600 / 60) + " min";
  const told = {
    count: (v) => String(Math.round(v)),
    percent: (v) => (v * 100).toFixed(0) + " %",
    stack: (v) => (v * 100).toFixed(v < 0.095 ? 1 : 0) + " %",
  };
  const element = (name, kind, text) => Object.assign(document.createElement(name), {className: kind, textContent: text || ""});
  for (const svg of document.querySelectorAll("svg[data-told]")) {
    const field = svg.parentElement, how = svg.dataset.told;
    const [low, high, log] = svg.dataset.x.split(","), [bottom, top] = svg.dataset.y.split(",").map(Number);
    const valueX = (part) => log ? low * (high / low) ** part : +low + (high - low) * part;
    const series = [...svg.querySelectorAll("path[data-name]")].map((path) => ({path, line: null}));
    const cursor = element("div", "cursor"), readout = element("div", "readout");
    const show = (event) => {
      const box = svg.getBoundingClientRect(), part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      const rows = [];
      for (const each of series) {
        each.line ??= places(each.path.getAttribute("d"));
        const height = heightAt(each.line, part * UNITS, each.path.classList.contains("stays"));
        if (height !== null) rows.push([each.path, bottom + (top - bottom) * height / UNITS]);
      }
      if (how === "stack") for (let i = 0; i + 1 < rows.length; i++) rows[i][1] -= rows[i + 1][1];
      readout.replaceChildren(element("b", "", seconds(valueX(part))));
      for (const [path, value] of rows) {
        const row = element("div", ""), swatch = element("i", "swatch " + path.getAttribute("class"));
        row.append(swatch, path.dataset.name + ": " + told[how](value));
        readout.append(row);
      }
      cursor.style.left = part * 100 + "%";
      readout.style.left = part < 0.5 ? `calc(${part * 100}% + .7rem)` : "auto";
      readout.style.right = part < 0.5 ? "auto" : `calc(${100 - part * 100}% + .7rem)`;
      field.append(cursor, readout);
    };
    const hide = () => { cursor.remove(); readout.remove(); };
    field.addEventListener("pointermove", show);
    field.addEventListener("pointerdown", show);
    field.addEventListener("pointerleave", hide);
  }
})();
