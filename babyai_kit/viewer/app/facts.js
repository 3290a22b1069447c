// One episode in words: for tooltips and for screen readers.
"use strict";
{
  const NO_MORE = 300;  // letters of an error

  // [[label, value], ...]
  kit.cellFacts = ({ names, episodes }, i) => {
    const table = { names, episodes };
    const begun = episodes.id[i] !== null;
    const shortest = episodes.shortest[i];
    const many = (column) => column.some((value) => value !== column[0]);
    const facts = [
      ["agent", `${names.agents[episodes.agent[i]]} · ${names.models[episodes.model[i]]}`],
      ["task", `${names.tasks[episodes.task[i]]}, seed ${episodes.seed[i]}${many(episodes.repeat) ? `, repeat ${episodes.repeat[i] + 1}` : ""}`],
    ];
    if (many(episodes.distractors)) facts.push(["distractors", kit.number(episodes.distractors[i])]);
    if (many(episodes.history)) facts.push(["history", kit.number(episodes.history[i])]);
    facts.push(["outcome", kit.cells.label(table, i)]);
    if (!begun) return facts;
    const of = episodes.maxSteps[i] === null ? "" : ` of at most ${kit.number(episodes.maxSteps[i])}`;
    facts.push(["steps", kit.number(episodes.length[i]) + of + (shortest ? `; the shortest way has ${kit.number(shortest)}` : "")]);
    if (episodes.invalid[i]) facts.push(["invalid answers", kit.number(episodes.invalid[i])]);
    if (episodes.episodeReturn[i] !== null) facts.push(["return", kit.number(episodes.episodeReturn[i], 2)]);
    if (episodes.cost[i]) facts.push(["cost", kit.dollars(episodes.cost[i])]);
    if (episodes.error[i]) facts.push(["error", String(episodes.error[i]).slice(0, NO_MORE)]);
    return facts;
  };

  kit.cellSentence = (table, i) => kit.cellFacts(table, i).slice(1).map(([label, value]) => `${label} ${value}`).join("; ");
}
