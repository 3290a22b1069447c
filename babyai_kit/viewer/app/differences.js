// Where agents on the same task and seed part: in what they do, in the states they are in, in how they end.
"use strict";
{
  const sameAll = (values) => values.every((value) => value === values[0]);

  // -> {action: first step with different actions, or null; state: first moment with different states, or null}
  kit.differences = (views) => {
    const longest = Math.max(...views.map(({ steps }) => steps.length));
    const of = (view, i) => (view.steps[i] ? `${view.steps[i].action}|${view.steps[i].valid}` : "");
    const steps = [...Array(longest).keys()];
    const action = steps.find((i) => !sameAll(views.map((view) => of(view, i)))) ?? null;
    let state = null;
    if (action !== null && views.every(({ world }) => world)) {
      const at = (view, i) => JSON.stringify(kit.world.at(view.world, Math.min(i, view.steps.length)));
      state = [...steps, longest].find((i) => i > action && !sameAll(views.map((view) => at(view, i)))) ?? null;
    }
    return { action, state };
  };

  // The same in a sentence; `names` of the views.
  kit.differenceText = (views, names, { action, state }) => {
    if (views.length < 2) return "";
    if (action === null) return "They did the same in every step.";
    const done = new Map();
    views.forEach(({ steps, outcome }, i) => {
      const step = steps[action];
      const what = step ? (step.valid ? step.action : `an invalid answer (${step.action})`) : outcome === "unfinished" ? "no answer yet" : "ended";
      done.set(what, [...(done.get(what) || []), names[i]]);
    });
    const parts = [...done].map(([what, who]) => `${who.join(" and ")}: ${what}`);
    const first = `Step ${action + 1} is the first that differs, after the same observation. ${parts.join("; ")}.`;
    return first + (state === null ? " Their states stay the same." : ` Their states differ from step ${state + 1} on.`);
  };

  // The episodes that all `agents` have: [{key, task, distractors, seed, repeat, ids, disagree}], in the order of the
  // first. An agent is {table, agent, model}, the latter as in the table's columns. They disagree if some succeeded
  // and some failed.
  kit.commonEpisodes = (agents) => {
    const NAMES = ["task", "distractors", "seed", "repeat"];
    const maps = agents.map(({ table: { names, episodes }, agent, model }) => {
      const map = new Map();
      episodes.id.forEach((id, i) => {
        if (id === null || episodes.agent[i] !== agent || episodes.model[i] !== model) return;
        const [, ...numbers] = NAMES.map((name) => episodes[name][i]);
        const place = { task: names.tasks[episodes.task[i]], distractors: numbers[0], seed: numbers[1], repeat: numbers[2] };
        map.set(Object.values(place).join("/"), { ...place, id, outcome: names.outcomes[episodes.outcome[i]] });
      });
      return map;
    });
    const common = [];
    for (const [key, { id, outcome, ...place }] of maps[0] ?? []) {
      const all = maps.map((map) => map.get(key));
      if (all.includes(undefined)) continue;
      const outcomes = all.map((one) => one.outcome);
      const finished = outcomes.every((one) => one === "success" || one === "failure");
      common.push({ key, ...place, ids: all.map((one) => one.id), disagree: finished && !sameAll(outcomes) });
    }
    const order = [...new Set(common.map(({ task }) => task))];
    return common.sort((a, b) => order.indexOf(a.task) - order.indexOf(b.task) || a.distractors - b.distractors || a.seed - b.seed || a.repeat - b.repeat);
  };
}
