"use strict";
// Text that others wrote goes into the page as text (textContent), never as HTML.
const episode = JSON.parse(document.getElementById("episode").textContent);
const at = (id) => document.getElementById(id);
kit.tiles = episode.tiles;
const { world, steps } = episode;
const last = steps.length;
let sheet = null;
let now = 0;
let timer = null;

const count = (number) => number.toLocaleString("en-US");

// Reward, tokens and time of a step.
function figures({ reward, inputTokens, outputTokens, seconds }) {
  const parts = reward ? [`reward ${reward.toFixed(3)}`] : [];
  if (inputTokens !== undefined && outputTokens !== undefined)
    parts.push(`${count(inputTokens)} input tokens, ${count(outputTokens)} output tokens`);
  return [...parts, `${seconds.toFixed(2)} s`].join(", ");
}

// What stands in the place of a step after the last one.
function end() {
  const { failure, outcomeText: action, lastObservation: observation } = episode;
  return { action, observation, valid: true, figures: failure ? `${failure.label}: ${failure.text}` : "" };
}

function show(index) {
  now = Math.min(Math.max(index, 0), last);
  const step = now === last ? end() : steps[now];
  const state = kit.world.at(world, now);
  kit.world.draw(at("grid"), sheet, state);
  kit.world.drawView(at("view"), sheet, state);
  at("observation").textContent = step.observation || "(empty)";
  const moment = now === last ? "at the end" : `before step ${now + 1}`;
  const size = `${world.width} by ${world.height} cells`;
  at("grid").setAttribute("aria-label", `The level, ${size}, ${moment}; what the agent sees is lit`);
  at("view").setAttribute("aria-label", "The agent's view: " + step.observation);
  at("thinks").hidden = !step.thinking;
  at("thinking").textContent = step.thinking || "";
  at("does").textContent = now === last ? "End" : "Action";
  at("action").textContent = step.action;
  at("invalid").hidden = step.valid;
  at("fatal").hidden = now !== episode.fatal;
  // Read out when the reader steps; while it plays, a sentence a step would never end.
  at("done").setAttribute("aria-live", timer === null ? "polite" : "off");
  at("done").textContent = (now === last ? "" : `Step ${now + 1}: `) + step.action + (step.valid ? "" : " (invalid answer)") + (now === episode.fatal ? " (fatal)" : "");
  at("figures").textContent = now === last ? step.figures : figures(step);
  at("raw").hidden = now === last;
  at("answer").textContent = step.answer === undefined ? "(no answer)" : step.answer;
  at("place").value = now;
  at("count").textContent = now === last ? `after ${last} of at most ${episode.maxSteps} steps` : `step ${now + 1} of ${last}`;
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

kit.world.load().then((image) => {
  sheet = image;
  show(0);
  if (window.parent !== window) makeRoom();
});
