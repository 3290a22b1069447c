// One episode: the level and the agent's view, the moves, the texts of a step, and the timeline below.
"use strict";
{
  let ui = null;       // what is on the page
  let view = null;     // the episode on it
  let table = null;    // of its run, for its neighbours; null: to be asked for again
  let order = [];      // the episodes before and after it, as the filters of the address leave them
  let params = null;   // of the address
  let metric = null;
  const address = kit.stepInAddress();
  const shows = { way: false, path: true };

  kit.page("episode", {
    title: () => (view ? kit.episodeTitle(view) : "Episode"),
    show, changed, leave,
    keys: {},
  });

  kit.episodeTitle = ({ task, seed, repeat, agent }) => `${task}, seed ${seed}${repeat ? `, repeat ${repeat + 1}` : ""}, ${agent}`;

  async function show(main, { params: asked }) {
    const [run, id] = [asked.get("run"), asked.get("id")];
    if (!run || !id) throw new Error("This address names no episode; choose one in the grid of a run");
    const wanted = Number(asked.get("step")) || 1;
    const fresh = await kit.source.episode(run, id);
    if (kit.address().params.get("id") !== id) return;
    params = asked;
    if (!ui || !ui.root.isConnected) {
      ui = build();
      view = null;
      main.replaceChildren(ui.root);
    }
    const other = view?.id !== id || view.run !== run;
    if (view?.run !== run) table = null;
    if (fresh !== view) load(fresh);
    if (other) ui.neighbours.replaceChildren();
    name();
    ui.stepper.pause();
    ui.stepper.set(wanted - 1);
    draw(ui.stepper.now, false);
    neighbours(run, id);
  }

  function name() {
    document.title = `${kit.episodeTitle(view)} · BabyAI viewer`;
    document.querySelector("#trail [aria-current]").textContent = kit.episodeTitle(view);
  }

  function leave() {
    address.stop();
    ui?.stepper.pause();
    ui = view = table = null;
  }

  // A run grows: an unfinished episode is asked for again, and followed where its end was on screen.
  async function changed(run) {
    if (!view || run !== view.run) return;
    table = null;
    if (view.outcome !== "unfinished") return;
    const { id } = view;
    const fresh = await kit.source.episode(run, id).catch(() => null);
    if (!fresh || view?.id !== id || (fresh.steps.length === view.steps.length && fresh.outcome === view.outcome)) return;
    // Only now: somebody may have moved while the answer was awaited.
    const following = ui.stepper.now === view.steps.length;
    load(fresh);
    ui.stepper.set(following ? fresh.steps.length : ui.stepper.now);
    draw(ui.stepper.now, true);
    if (fresh.outcome !== "unfinished") kit.say(fresh.outcomeText);
  }

  function build() {
    const stepper = kit.stepper({ last: () => view.steps.length, marked: () => kit.markedSteps(view), show: draw });
    Object.assign(kit.pages.get("episode").keys, stepper.keys, {
      "]": ["next episode of the run", () => neighbour(1)],
      "[": ["previous episode of the run", () => neighbour(-1)],
      j: ["next episode of the run", () => neighbour(1)],
      k: ["previous episode of the run", () => neighbour(-1)],
      w: ["the shortest way", () => { if (!ui.way.disabled) { ui.way.checked = !ui.way.checked; ui.way.onchange(); } }],
    });
    const go = (moment) => stepper.go(moment);
    const timeline = kit.timeline({ go });
    const moves = kit.moves({ go });
    const level = kit.board("level"), seen = kit.board("view");
    const panels = {
      observation: kit.panel("observation", "Observation"),
      thought: kit.panel("thought", "Thought"),
      answer: kit.panel("answer", "Answer as it came"),
      prompt: kit.panel("prompt", "Prompt as the model saw it"),
    };
    const switched = (name, text, title) => {
      const box = kit.el("input", { type: "checkbox", checked: shows[name], onchange: () => { shows[name] = box.checked; draw(stepper.now, true); } });
      return [box, kit.el("label", { class: "option", title }, box, text)];
    };
    const [way, wayLabel] = switched("way", "Shortest way", "An overlay on the level (w)");
    const [, pathLabel] = switched("path", "Path so far", "Where the agent has been");
    const wayText = kit.el("span", {}, "Shortest way");
    wayLabel.replaceChildren(way, wayText);
    const measure = kit.el("select", { class: "measure", "aria-label": "Bars of the timeline", onchange: () => { metric = measure.value; line(); } });
    const at = kit.el("output", { class: "at" });
    const tally = kit.el("div", { class: "tally" });
    const [title, about, end, trouble, others, facts] = ["h1", "p", "p", "div", "nav", "dl"].map((tag) => kit.el(tag));
    const around = kit.el("nav", { class: "around", "aria-label": "Episodes of the run" });
    kit.fill(about, { class: "about muted" }, []);
    kit.fill(end, { class: "ending" }, []);
    kit.fill(others, { class: "others", "aria-label": "The same task and seed" }, []);
    kit.fill(trouble, { class: "troubles" }, []);
    kit.fill(facts, { class: "step-facts" }, []);
    const root = kit.el("div", { class: "episode" },
      kit.el("header", { class: "head" }, kit.el("div", { class: "what" }, title, about), kit.el("div", { class: "how" }, end, others), around, trouble),
      kit.el("div", { class: "scene" }, level.element, kit.el("div", { class: "switches" }, wayLabel, pathLabel),
        kit.el("div", { class: "now-panel" }, kit.el("figure", { class: "seen" }, seen.element, kit.el("figcaption", { class: "muted" }, "Agent's view, facing up")),
          kit.el("div", { class: "facts-place", role: "group", "aria-label": "Figures of the step", tabIndex: 0 }, facts))),
      kit.el("section", { class: "list", "aria-label": "Moves" }, kit.el("h2", {}, "Moves"), moves.element),
      kit.el("section", { class: "texts", "aria-label": "Texts of the step" }, Object.values(panels).map(({ element }) => element)),
      kit.el("div", { class: "foot" }, kit.el("div", { class: "controls" }, stepper.element, at, tally, measure), timeline.element));
    return { root, stepper, timeline, moves, level, seen, panels, way, wayText, measure, at, tally, title, about, end, trouble, neighbours: others, around, facts };
  }

  function load(fresh) {
    view = fresh;
    const { task, seed, repeat, distractors, agent, model, note } = view;
    ui.title.textContent = view.mission || kit.episodeTitle(view);
    const what = [agent, model, `${task}, seed ${seed}`, repeat ? `repeat ${repeat + 1}` : null, distractors ? kit.plural(distractors, "distractor") : null, note || null];
    ui.about.replaceChildren(...what.filter(Boolean).map((text) => kit.el("span", {}, text)));
    ui.end.replaceChildren(kit.outcomeBadge(view), kit.el("span", { class: "muted" }, view.outcomeText));
    ui.trouble.replaceChildren(...troubles());
    ui.panels.thought.element.hidden = !view.steps.some(({ thinking }) => thinking);
    const kind = view.way?.kind === "expert" ? "Expert's way" : "Shortest way";
    ui.wayText.textContent = view.way ? `${kind}, ${kit.plural(view.way.actions.length, "step")}` : "Shortest way not known";
    ui.way.disabled = !view.way;
    const metrics = kit.metrics(view);
    if (!metrics.includes(metric)) metric = metrics[0] ?? null;
    ui.measure.replaceChildren(...metrics.map((name) => kit.el("option", { value: name, selected: name === metric }, kit.metricName(view, name))));
    ui.measure.hidden = metrics.length < 2;
    ui.moves.show(view);
    ui.tally.replaceChildren(...kit.tally(view));
    line();
  }

  function troubles() {
    const lines = [];
    if (view.error) lines.push(`This is not the agent's failure: a service failed (${view.error}). The episode counts as an error; run again to retry it.`);
    if (view.notReplayed) lines.push(`The level can't be shown: ${view.notReplayed}`);
    return lines.map((text) => kit.el("p", { class: "trouble" }, text));
  }

  function line() {
    ui.timeline.show(view, { metric });
    ui.timeline.at(ui.stepper.now);
  }

  function draw(moment, quiet) {
    const step = view.steps[moment];
    const marks = kit.marks(view, moment);
    picture(moment);
    ui.moves.at(moment);
    ui.timeline.at(moment);
    ui.at.textContent = step ? `Step ${moment + 1} of ${view.steps.length}` : `End, after ${kit.plural(view.steps.length, "step")}` + (view.maxSteps ? ` of at most ${view.maxSteps}` : "");
    ui.facts.replaceChildren(...kit.momentFacts(view, moment, marks));
    const { observation, thought, answer, prompt } = ui.panels;
    observation.show(() => kit.text(step ? step.observation : view.lastObservation, "empty"));
    thought.show(() => kit.text(step?.thinking));
    answer.show(() => kit.text(step?.answer, step ? "no answer" : "none"));
    prompt.show(() => prompts(moment));
    const words = new URLSearchParams(params);
    words.set("step", moment + 1);
    address.set("episode", words);
    if (!quiet) kit.say(kit.momentText(view, moment));
  }

  function picture(moment) {
    if (!view.world) {
      ui.level.say("The level can't be shown");
      ui.seen.say("");
      return;
    }
    const state = kit.world.at(view.world, moment);
    const path = shows.path ? kit.world.path(view.world, moment) : [];
    ui.level.show(state, kit.world.describe(state), { path, way: shows.way && view.way ? view.way.cells : [] });
    ui.seen.show(state, "The agent's view, facing up: " + (view.steps[moment]?.observation ?? view.lastObservation));
  }

  function prompts(moment) {
    const place = kit.el("div");
    const { run, id } = view;
    const atEnd = moment >= view.steps.length;
    const words = (text) => kit.el("p", { class: "muted none" }, text);
    kit.source.prompts(run, id).then(({ note, steps, closing = [] }) => {
      // A growing episode may be a step ahead.
      const messages = atEnd ? closing : steps[moment] ?? null;
      const asked = messages?.length ? kit.prompt(messages) : messages && words(atEnd ? "none" : "The agent asked nothing in this step.");
      place.replaceChildren(...[note && words(note), asked].filter(Boolean));
    }, (error) => place.replaceChildren(kit.error(error)));
    return place;
  }

  async function neighbours(run, id) {
    try {
      table ??= await kit.source.run(run);
      order = await kit.neighbours.order(table, run, params);
    } catch {
      return;  // the episode is there all the same
    }
    if (view?.id !== id) return;
    ui.around.replaceChildren(...kit.neighbours.around(order, id, link));
    ui.neighbours.replaceChildren(...kit.neighbours.others(table, run, id));
  }

  function link(id) {
    const words = new URLSearchParams(params);
    words.set("id", id);
    words.delete("step");
    return kit.link("episode", words);
  }

  function neighbour(direction) {
    const to = order[order.indexOf(view.id) + direction];
    if (to) location.hash = link(to);
    else kit.say(direction > 0 ? "This is the last episode" : "This is the first episode");
  }
}
