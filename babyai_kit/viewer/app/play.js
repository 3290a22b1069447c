// A person plays: chooses what, sees what an agent sees, and acts by keys and buttons. The server writes it down.
"use strict";
{
  const ACTIONS = [
    ["turn left", "ArrowLeft", "←"],
    ["go forward", "ArrowUp", "↑"],
    ["turn right", "ArrowRight", "→"],
    ["pick up", "p", "P"],
    ["drop", "d", "D"],
    ["toggle", "t", "T"],
  ];
  let game = null;   // as the server told it last
  let ui = null;
  let busy = false;

  async function ask(path, values, keepalive = false) {
    let response;
    try {
      response = await fetch("api/play" + path, values && { method: "POST", keepalive, headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) });
    } catch {
      throw new Error("The viewer does not answer any more; start it again: python -m babyai_kit view. Your game goes on where it was");
    }
    const body = await response.json().catch(() => null);
    if (!response.ok) throw new Error(body?.error || `The viewer answered with status ${response.status}; reload the page`);
    return body;
  }

  const play = {
    offer: () => ask(""),
    start: (choice) => ask("/start", choice),
    act: (run, id, step, action) => ask("/act", { run, id, step, action }),
    next: (run) => ask("/next", { run }),
    stop: (run) => ask("/stop", { run }, true).catch(() => {}),
  };
  // An export has nobody to write down what is played.
  Object.defineProperty(kit.source, "play", { get: () => (kit.source.live ? play : null) });

  addEventListener("pagehide", () => { if (game) play.stop(game.run); });

  const act = (action) => [action, () => choose(action)];
  kit.page("play", {
    title: () => "Play",
    async show(main) {
      if (!kit.source.play) throw new Error("An export cannot be played; start the viewer itself: python -m babyai_kit view");
      const offer = await play.offer();
      const runs = (await kit.source.runs()).filter(({ models }) => models.length > 0 && models.every((model) => model === offer.run));
      main.replaceChildren(setup(offer, runs));
      kit.pages.get("play").keys = {};
    },
    leave() {
      if (game) play.stop(game.run);
      game = ui = null;
      busy = false;
    },
    keys: {},
  });

  function setup(offer, runs) {
    const trouble = kit.el("div");
    const run = kit.el("input", { type: "text", value: runs[0]?.run ?? offer.run, list: "play-runs", spellcheck: "false", autocomplete: "off" });
    const seeds = kit.el("input", { type: "text", value: offer.seeds, spellcheck: "false", autocomplete: "off" });
    const distractors = kit.el("input", { type: "number", value: 0, min: 0, max: offer.maxDistractors });
    const choices = (names, chosen) => names.map((name) => {
      const box = kit.el("input", { type: "checkbox", value: name, checked: chosen });
      return [box, kit.el("label", { class: "option" }, box, name)];
    });
    const tasks = choices(offer.tasks, true), levels = choices(offer.levels, false);
    const pictures = [["", "The text alone, as a language model sees it"], ["1", "The text and the agent's view as a picture"]].map(([value, text]) => {
      const box = kit.el("input", { type: "radio", name: "picture", value, checked: value === "" });
      return [box, kit.el("label", { class: "option" }, box, text)];
    });
    const begin = kit.el("button", { class: "main" }, "Begin");
    const field = (label, control, ...more) => kit.el("p", { class: "field" }, kit.el("label", {}, kit.el("span", {}, label), control), more);
    const form = kit.el("form", { class: "setup", onsubmit: async (event) => {
      event.preventDefault();
      begin.disabled = true;
      try {
        const chosen = [...tasks, ...levels].filter(([box]) => box.checked).map(([box]) => box.value);
        if (!chosen.length) throw new Error("Choose at least one task");
        const choice = { run: run.value.trim(), tasks: chosen, seeds: seeds.value, distractors: Number(distractors.value), picture: pictures[1][0].checked };
        const started = await play.start(choice);
        if (!form.isConnected) return void play.stop(started.run);
        board(form.parentElement);
        update(started);
      } catch (error) {
        trouble.replaceChildren(kit.error(error));
      }
      begin.disabled = false;
    } },
    kit.el("h1", {}, "Play"),
    kit.el("p", {}, "Play the same tasks and seeds as the agents. What you do is written to a run like theirs, as agent “human”, with the same statistics. You see what an agent sees; the level and the shortest way come after the end."),
    kit.el("fieldset", {}, kit.el("legend", {}, "Tasks"), kit.el("div", { class: "choices" }, tasks.map(([, label]) => label)),
      kit.el("details", {}, kit.el("summary", {}, "Levels of more rooms and longer missions"), kit.el("div", { class: "choices" }, levels.map(([, label]) => label)))),
    field("Seeds", seeds, kit.el("span", { class: "muted" }, "from the validation block, on which variants are chosen; 1000:1005 is of the test block")),
    field("Distracting objects", distractors),
    kit.el("fieldset", {}, kit.el("legend", {}, "What you see"), pictures.map(([, label]) => kit.el("div", {}, label))),
    field("Run", run, kit.el("datalist", { id: "play-runs" }, runs.map((one) => kit.el("option", { value: one.run }))),
      kit.el("span", { class: "muted" }, runs.length ? "one that you have played goes on where it was" : "the folder in which it is kept")),
    trouble, begin);
    return form;
  }

  function board(main) {
    const buttons = ACTIONS.map(([action, , sign]) => kit.el("button", { type: "button", onclick: () => choose(action) }, kit.el("kbd", {}, sign), " ", action));
    const [mission, place, observation, result] = ["h1", "p", "div", "div"].map((tag) => kit.el(tag));
    const past = kit.el("ol", { class: "past", "aria-label": "What you saw and did", tabIndex: 0 });
    const seen = kit.board("view");
    const picture = kit.el("figure", { class: "seen", hidden: true }, seen.element, kit.el("figcaption", { class: "muted" }, "Your view, facing up"));
    kit.fill(place, { class: "muted" }, []);
    kit.fill(observation, { class: "sight", role: "region", "aria-label": "What you see", "aria-live": "polite" }, []);
    kit.fill(result, { class: "result" }, []);
    const root = kit.el("div", { class: "game" },
      kit.el("header", {}, mission, place),
      kit.el("div", { class: "sights" }, picture, observation),
      kit.el("div", { class: "actions", role: "group", "aria-label": "Actions" }, buttons), result,
      kit.el("section", { class: "before" }, kit.el("h2", {}, "Before"), past));
    main.replaceChildren(root);
    ui = { root, buttons, mission, place, observation, result, past, picture, seen };
    const keys = Object.fromEntries(ACTIONS.map(([action, key]) => [key, act(action)]));
    kit.pages.get("play").keys = { ...keys, Enter: ["the next episode", next] };
  }

  function update(state) {
    const before = game?.episode;
    game = state;
    const { episode, finished, planned } = state;
    if (!episode) return done();
    const { ended } = episode;
    ui.mission.textContent = episode.mission;
    const what = `${episode.task}, seed ${episode.seed}` + (episode.distractors ? `, ${kit.plural(episode.distractors, "distractor")}` : "");
    ui.place.textContent = `${what} · step ${episode.step + (ended ? 0 : 1)} of at most ${episode.maxSteps} · ${kit.number(finished)} of ${kit.plural(planned, "episode")} played`;
    ui.observation.replaceChildren(kit.text(episode.observation, "You see nothing."));
    ui.picture.hidden = !episode.view;
    if (episode.view) ui.seen.show(episode.view, "Your view, facing up: " + episode.observation);
    for (const button of ui.buttons) button.setAttribute("aria-disabled", String(Boolean(ended)));
    ui.past.replaceChildren(...episode.past.map(({ observation, action }, i) => kit.el("li", {}, kit.el("span", { class: "number" }, String(i + 1)), kit.el("pre", {}, observation), kit.el("b", {}, action))).reverse());
    ui.result.replaceChildren(...(ended ? outcome(ended, episode.id) : []));
    if (ended && !(before?.ended && before.id === episode.id)) kit.say(ui.result.querySelector("p").textContent);
  }

  function outcome({ success, steps, shortest, episodeReturn }, id) {
    const text = success ? `Success after ${kit.plural(steps, "step")}, return ${kit.number(episodeReturn, 3)}` : `Failure: the goal was not reached in ${kit.plural(steps, "step")}`;
    const left = game.finished < game.planned;
    const onward = kit.el("button", { type: "button", class: "main", onclick: next }, left ? "Next episode" : "Finish", " ", kit.el("kbd", {}, "Enter"));
    return [
      kit.el("p", {}, kit.el("span", { class: `outcome ${success ? "success" : "failure"}` }, `${success ? "✓" : "✗"} ${success ? "success" : "failure"}`), ` ${text}${shortest ? `; the shortest way takes ${shortest}` : ""}.`),
      kit.el("p", {}, onward, " ", kit.el("a", { href: kit.link("episode", { run: game.run, id }) }, "See the episode in its level")),
    ];
  }

  function done() {
    const { run, planned } = game;
    ui.root.replaceChildren(kit.el("h1", {}, "All played"),
      kit.el("p", {}, `You have finished ${kit.plural(planned, "episode")}: all of this choice.`),
      kit.el("p", {}, kit.el("a", { href: kit.link("run", { run }) }, `See the run ${run}`), " · ", kit.el("a", { href: "#/play", onclick: () => kit.route() }, "Play others")));
    kit.pages.get("play").keys = {};
    play.stop(run);
    game = null;
  }

  async function choose(action) {
    const episode = game?.episode;
    if (busy || !episode || episode.ended) return;
    await turn(() => play.act(game.run, episode.id, episode.step, action));
  }

  async function next() {
    if (busy || !game?.episode?.ended) return;
    await turn(() => play.next(game.run));
  }

  async function turn(request) {
    const mine = ui;
    busy = true;
    try {
      const state = await request();
      if (ui === mine) update(state);
    } catch (error) {
      if (ui === mine) ui.result.replaceChildren(kit.error(error), kit.el("p", {}, kit.el("a", { href: "#/play", onclick: () => kit.route() }, "Begin again")));
    }
    busy = false;
  }
}
