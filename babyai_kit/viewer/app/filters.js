// Which episodes of a run are shown: what the address asks for, and how many there are of each choice.
"use strict";
{
  const NOT_YET = "unclassified";
  const FACETS = ["outcome", "failure", "agent", "model", "task", "distractors", "repeat"];
  const RANGES = ["invalid", "min", "max", "seeds", "text"];

  // The choices of a facet, [{value, label}], and the choice of each episode (-1: none).
  const facets = {
    outcome: ({ names, episodes }) => ({ label: "Outcome", values: names.outcomes, of: (i) => episodes.outcome[i] }),
    failure: ({ names, episodes }) => {
      const values = [...names.failures.map(({ name }) => name), NOT_YET];
      const labels = [...names.failures.map(({ label }) => label), "not yet classified"];
      return { label: "How it failed", values, labels, of: (i) => (episodes.failure[i] === -2 ? values.length - 1 : episodes.failure[i]) };
    },
    agent: ({ names, episodes }) => ({ label: "Agent", values: names.agents, of: (i) => episodes.agent[i] }),
    model: ({ names, episodes }) => ({ label: "Model", values: names.models, of: (i) => episodes.model[i] }),
    task: ({ names, episodes }) => ({ label: "Task", values: names.tasks, of: (i) => episodes.task[i] }),
    distractors: ({ episodes }) => numbers("Distractors", episodes.distractors),
    repeat: ({ episodes }) => numbers("Repeat", episodes.repeat, (n) => n + 1),
  };

  function numbers(label, column, shown = (n) => n) {
    const values = [...new Set(column)].sort((a, b) => a - b);
    const places = new Map(values.map((value, place) => [value, place]));
    return { label, values: values.map(String), labels: values.map((n) => String(shown(n))), of: (i) => places.get(column[i]) };
  }

  // "200:220" (half-open) or "1,5,9" or both -> predicate; null if it is neither.
  function seeds(text) {
    const spans = text.split(",").map((part) => part.trim()).filter(Boolean).map((part) => /^(\d+)(?::(\d+))?$/.exec(part));
    if (!spans.length || spans.includes(null)) return null;
    const bounds = spans.map(([, low, high]) => [Number(low), high === undefined ? Number(low) + 1 : Number(high)]);
    return (seed) => bounds.some(([low, high]) => low <= seed && seed < high);
  }

  const number = (text) => (text !== null && text !== "" && Number.isFinite(Number(text)) ? Number(text) : null);

  kit.filters = {
    FACETS,
    NOT_YET,
    names: [...FACETS, ...RANGES],
    facets: (table) => Object.fromEntries(FACETS.map((name) => [name, facets[name](table)])),

    any: (params) => [...FACETS, ...RANGES].some((name) => params.get(name)),

    // What is wrong with the address, as a sentence; "" if nothing.
    trouble(params) {
      const text = params.get("seeds");
      return text && seeds(text) === null ? `${text} is not a valid seed range; use 200:220 or 1,5,9` : "";
    },

    // `found`: the ids with the text sought, null while they are not known or none is sought.
    // -> {mask: 1 where an episode is shown, count, counts: {facet: episodes per choice, given the other filters}}
    apply(table, params, found) {
      const { episodes } = table;
      const size = episodes.id.length;
      const all = kit.filters.facets(table);
      const tests = [];
      for (const name of FACETS) {
        const wanted = params.getAll(name);
        if (!wanted.length) continue;
        const set = new Set(wanted.map((value) => all[name].values.indexOf(value)));
        set.delete(-1);
        tests.push([name, (i) => set.has(all[name].of(i))]);
      }
      const low = number(params.get("min")), high = number(params.get("max")), invalid = number(params.get("invalid"));
      if (low !== null) tests.push([null, (i) => episodes.length[i] !== null && episodes.length[i] >= low]);
      if (high !== null) tests.push([null, (i) => episodes.length[i] !== null && episodes.length[i] <= high]);
      if (invalid !== null) tests.push([null, (i) => episodes.invalid[i] !== null && episodes.invalid[i] >= invalid]);
      const seed = params.get("seeds") ? seeds(params.get("seeds")) : null;
      if (seed) tests.push([null, (i) => seed(episodes.seed[i])]);
      if (found) tests.push([null, (i) => found.has(episodes.id[i])]);

      const counts = Object.fromEntries(FACETS.map((name) => [name, new Array(all[name].values.length).fill(0)]));
      const mask = new Uint8Array(size);
      let count = 0;
      for (let i = 0; i < size; i++) {
        let failed = 0, by = null;
        for (const [name, test] of tests) {
          if (test(i)) continue;
          by = name;
          if (++failed > 1) break;
        }
        if (failed === 0) {
          mask[i] = 1;
          count++;
          for (const name of FACETS) if (all[name].of(i) >= 0) counts[name][all[name].of(i)]++;
        } else if (failed === 1 && by !== null && all[by].of(i) >= 0) counts[by][all[by].of(i)]++;
      }
      return { mask, count, counts };
    },
  };
}
