// The list of the agents that can stand beside each other: those with an episode of the same task and seed.
"use strict";
// `tables`: RunTables by run; `of`: an episode of that task and seed; `chosen`: "RUN/ID" of those on screen; `runs`: all
// there are. `choose(of, wanted)`, `add(run)`: what somebody asked for.
kit.agentList = ({ tables, of: { task, distractors, seed, repeat }, chosen, runs, choose, add }) => {
  const groups = [...tables].map(([run, { names, episodes }]) => {
    const same = (i) => episodes.id[i] !== null && names.tasks[episodes.task[i]] === task && episodes.distractors[i] === distractors
      && episodes.seed[i] === seed && episodes.repeat[i] === repeat;
    const boxes = [...episodes.id.keys()].filter(same).map((i) => {
      const of = `${run}/${episodes.id[i]}`;
      const alone = chosen.length === 1 && chosen[0] === of;
      const box = kit.el("input", { type: "checkbox", checked: chosen.includes(of), disabled: alone, onchange: () => choose(of, box.checked) });
      const outcome = names.outcomes[episodes.outcome[i]];
      const model = names.models.length > 1 ? `, ${names.models[episodes.model[i]]}` : "";
      return kit.el("label", { class: "option" }, box, `${names.agents[episodes.agent[i]]}${model} `,
        kit.el("span", { class: "muted" }, `${kit.outcomeSign(outcome)} ${outcome}`));
    });
    return kit.el("fieldset", {}, kit.el("legend", {}, `Run ${run}`), boxes.length ? boxes : kit.el("p", { class: "muted" }, "It has no episode of this task and seed."));
  });
  const others = runs.filter((run) => !tables.has(run));
  const more = kit.el("select", { "aria-label": "Another run", onchange: () => add(more.value) },
    kit.el("option", { value: "" }, "Another run…"), others.map((run) => kit.el("option", {}, run)));
  return others.length ? [...groups, more] : groups;
};
