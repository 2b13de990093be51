"use strict";
document.documentElement.classList.add("js");

// A page that is not finished is loaded again, where the reader is, until its time is over.
const RENEWED_SEC = 5;
const until = Number(document.documentElement.dataset.renewedUntil ?? 0);
if (Date.now() / 1000 < until) setTimeout(() => location.reload(), 1000 * RENEWED_SEC);

// Exact values over the figures: [x, y or null for a column, head, [[glyph, colour, name, value]]].
const tip = document.querySelector(".tip");
const SVG = "http://www.w3.org/2000/svg";

function fill(head, rows) {
  tip.replaceChildren();
  const title = document.createElement("b");
  title.textContent = head;
  tip.append(title);
  for (const [glyph, colour, ...words] of rows) {
    const line = document.createElement("div");
    for (const word of [glyph, ...words]) {
      const part = document.createElement("span");
      part.textContent = word;
      line.append(part);
    }
    line.firstChild.style.color = colour;
    tip.append(line);
  }
}

function attend(plot) {
  const svg = plot.querySelector("svg");
  const box = svg.viewBox.baseVal;
  const tips = JSON.parse(plot.dataset.tips);
  let shown = -1;
  let guide = null;

  function hide() {
    tip.hidden = true;
    shown = -1;
    if (guide) guide.remove();
    guide = null;
  }

  function show(index) {
    if (index === shown || !tips[index]) return;
    hide();
    shown = index;
    const [x, y, head, rows] = tips[index];
    guide = document.createElementNS(SVG, y === null ? "line" : "circle");
    const place = y === null ? { x1: x, x2: x, y1: 44, y2: box.height - 38 } : { cx: x, cy: y, r: 8 };
    for (const [name, value] of Object.entries(place)) guide.setAttribute(name, value);
    guide.setAttribute("class", "guide");
    svg.append(guide);
    fill(head, rows);
    tip.hidden = false;
    const at = svg.getBoundingClientRect();
    const scale = at.width / box.width;
    const along = at.left + x * scale;
    const edge = document.documentElement.clientWidth - tip.offsetWidth - 8;
    const right = along + 14, left = along - tip.offsetWidth - 14;
    const beside = right <= edge || left >= 8;  // else below the figure, where it hides nothing
    const across = right <= edge ? right : beside ? left : Math.max(8, Math.min(edge, along));
    const down = beside ? at.top + (y === null ? 44 : y) * scale : at.bottom;
    tip.style.left = `${across + scrollX}px`;
    tip.style.top = `${down + scrollY}px`;
  }

  function nearest(event) {
    const at = svg.getBoundingClientRect();
    const x = (event.clientX - at.left) * box.width / at.width;
    const y = (event.clientY - at.top) * box.width / at.width;
    const far = tips.map(([a, b]) => Math.hypot(a - x, b === null ? 0 : b - y));
    const index = far.indexOf(Math.min(...far));
    if (far[index] < 24) show(index); else hide();
  }

  svg.addEventListener("pointermove", nearest);
  svg.addEventListener("pointerdown", nearest);
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    show(Math.max(0, Math.min(tips.length - 1, shown + step)));
  });
}

// Tables: numbers by value, words by alphabet, what is missing last; a third click gives the first order back.
function by(row, column) {
  const cell = row.cells[column];
  return cell.dataset.by ?? cell.textContent;
}

function order(a, b) {
  if (a === "" || b === "") return 0;
  const x = Number(a), y = Number(b);
  if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  return a.localeCompare(b);
}

function sortable(part) {
  const table = part.querySelector("table");
  const body = table.tBodies[0];
  const given = [...body.rows];
  table.classList.add("asgiven");
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const next = { none: "ascending", ascending: "descending", descending: "none" }[head.ariaSort];
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", next);
    table.classList.toggle("asgiven", next === "none");
    const way = next === "descending" ? -1 : 1;
    const rows = next === "none" ? given : [...given].sort((one, other) => {
      const a = by(one, column), b = by(other, column);
      return (a === "") - (b === "") || way * order(a, b);
    });
    body.append(...rows);
  }));
  filterable(part, given);
}

function filterable(part, rows) {
  const choices = [...part.querySelectorAll("[data-filter]")];
  const search = part.querySelector("input");
  const count = part.querySelector(".count");
  if (!count) return;
  function filter() {
    const words = search.value.toLowerCase().trim();
    let left = 0;
    for (const row of rows) {
      const is = (row.dataset.is ?? "").split("|");
      const fits = choices.every((choice) => !choice.value || is[choice.dataset.filter] === choice.value);
      row.hidden = !(fits && row.textContent.toLowerCase().includes(words));
      left += !row.hidden;
    }
    count.textContent = left === rows.length ? `${left} rows` : `${left} of ${rows.length} rows`;
  }
  for (const choice of choices) choice.addEventListener("change", filter);
  search.addEventListener("input", filter);
}

function choosable(fronts) {
  const choice = fronts.querySelector("select");
  if (!choice) return;
  const parts = [...fronts.querySelectorAll(".front")];
  const choose = () => parts.forEach((part, index) => { part.hidden = index !== choice.selectedIndex; });
  choice.addEventListener("change", choose);
  choose();
}

// A figure as a picture for slides: the file that the link beside it has, three times as large.
function picturable(link) {
  const picture = link.cloneNode();
  picture.textContent = "PNG";
  picture.setAttribute("aria-label", (link.getAttribute("aria-label") ?? "figure as SVG").replace("SVG", "PNG"));
  picture.href = "#";
  picture.download = link.download.replace(/svg$/, "png");
  picture.addEventListener("click", async (event) => {
    if (picture.href.startsWith("data:")) return;
    event.preventDefault();
    const image = new Image();
    const [, , width, height] = atob(link.href.split(",")[1]).match(/viewBox="([^"]*)"/)[1].split(" ").map(Number);
    image.width = 3 * width;
    image.height = 3 * height;
    image.src = link.href;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    picture.href = canvas.toDataURL("image/png");
    picture.click();
  });
  link.after(" ", picture);
}

// What a link or an address leads to is opened.
function openAt() {
  const part = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const folded = part && part.querySelector(":scope > .whole");
  if (folded) folded.open = true;
}

document.querySelectorAll('a[href^="data:image/svg"]').forEach(picturable);
addEventListener("hashchange", openAt);
openAt();
document.querySelectorAll(".plot").forEach(attend);
document.querySelectorAll(".table").forEach(sortable);
document.querySelectorAll(".fronts").forEach(choosable);
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
