"use strict";
// Text that others wrote goes into the page as text (textContent), never as HTML.
const episode = JSON.parse(document.getElementById("episode").textContent);
const at = (id) => document.getElementById(id);
const last = episode.scenes.length - 1;
let now = 0;
let timer = null;

function draw(id, tiles, width) {
  const canvas = at(id);
  const size = episode.tile;
  canvas.width = width * size;
  canvas.height = (tiles.length / width) * size;
  const pen = canvas.getContext("2d");
  tiles.forEach((tile, i) =>
    pen.drawImage(sheet, 0, tile * size, size, size, (i % width) * size, Math.floor(i / width) * size, size, size));
}

function show(index) {
  now = Math.min(Math.max(index, 0), last);
  const scene = episode.scenes[now];
  draw("grid", scene.grid, episode.width);
  draw("view", scene.view, 7);
  at("observation").textContent = scene.observation || "(empty)";
  const moment = now === last ? "at the end" : `before step ${now + 1}`;
  const size = `${episode.width} by ${scene.grid.length / episode.width} cells`;
  at("grid").setAttribute("aria-label", `The level, ${size}, ${moment}; what the agent sees is lit`);
  at("view").setAttribute("aria-label", "The agent's view: " + scene.observation);
  at("thinks").hidden = !scene.thinking;
  at("thinking").textContent = scene.thinking || "";
  at("does").textContent = now === last ? "End" : "Action";
  at("action").textContent = scene.action;
  at("invalid").hidden = scene.valid;
  at("fatal").hidden = now !== episode.fatal;
  // Read out when the reader steps; while it plays, a sentence a step would never end.
  at("done").setAttribute("aria-live", timer === null ? "polite" : "off");
  at("done").textContent = (now === last ? "" : `Step ${now + 1}: `) + scene.action + (scene.valid ? "" : " (invalid answer)") + (now === episode.fatal ? " (fatal)" : "");
  at("figures").textContent = scene.figures;
  at("raw").hidden = now === last;
  at("answer").textContent = scene.answer === null ? "(no answer)" : scene.answer;
  at("place").value = now;
  at("count").textContent = now === last ? `after ${last} of at most ${episode.limit} steps` : `step ${now + 1} of ${last}`;
  at("first").disabled = at("back").disabled = now === 0;
  at("forward").disabled = at("last").disabled = now === last;
  if (now === last) pause();
}

function pause() {
  clearInterval(timer);
  timer = null;
  at("play").textContent = "Play";
}

function play() {
  if (now === last) show(0);
  clearInterval(timer);
  timer = setInterval(() => show(now + 1), Number(at("speed").value));
  at("play").textContent = "Pause";
}

const toggle = () => (timer === null ? play() : pause());
const go = (index) => { pause(); show(index); };
const keys = {
  ArrowLeft: () => go(now - 1),
  ArrowRight: () => go(now + 1),
  Home: () => go(0),
  End: () => go(last),
  " ": toggle,
};

at("first").onclick = keys.Home;
at("back").onclick = keys.ArrowLeft;
at("forward").onclick = keys.ArrowRight;
at("last").onclick = keys.End;
at("play").onclick = toggle;
if (episode.fatal !== null) {
  at("to-fatal").hidden = false;
  at("to-fatal").textContent = `Fatal step ${episode.fatal + 1}`;
  at("to-fatal").onclick = () => go(episode.fatal);
}
at("place").max = last;
at("place").oninput = () => go(Number(at("place").value));
at("speed").onchange = () => { if (timer !== null) play(); };
document.addEventListener("keydown", (event) => {
  const own = ["INPUT", "SELECT", "SUMMARY"].includes(event.target.tagName) || (event.key === " " && event.target.tagName === "BUTTON");
  if (own || event.ctrlKey || event.altKey || event.metaKey || !(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});

// The outer page makes room for what is here; less is needed only at another width, so that nothing jumps.
function makeRoom() {
  let room = { width: 0, height: 0 };
  new ResizeObserver(() => {
    const { width, height } = document.documentElement.getBoundingClientRect();
    if (width === room.width && height <= room.height) return;
    room = { width, height };
    window.parent.postMessage({ babyaiHeight: height }, "*");
  }).observe(document.documentElement);
}

const sheet = new Image();
sheet.onload = () => {
  show(0);
  if (window.parent !== window) makeRoom();
};
sheet.src = episode.sheet;
