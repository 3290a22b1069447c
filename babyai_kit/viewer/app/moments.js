// What there is to say of a moment of an episode: its marks, its figures, and itself in one line.
"use strict";
{
  const KINDS = {
    invalid: { sign: "!", word: "invalid" },
    repeat: { sign: "↻", word: "repeated" },
    fatal: { sign: "✗", word: "fatal" },
    differs: { sign: "≠", word: "differs" },
    reward: { sign: "★", word: "reward" },
  };
  const METRICS = {
    tokens: ["Tokens", ({ inputTokens, outputTokens }) => (inputTokens === null || outputTokens === null ? null : inputTokens + outputTokens), kit.number],
    output: ["Output tokens", ({ outputTokens }) => outputTokens, kit.number],
    seconds: ["Seconds", ({ seconds }) => seconds, kit.seconds],
  };

  // The marks of step i: [{kind, sign, word, text}].
  kit.marks = (view, i, differs = null) => {
    const step = view.steps[i];
    const marks = [];
    const add = (kind, text) => marks.push({ kind, text, ...KINDS[kind] });
    if (i === differs) add("differs", "here the agents differ first");
    if (!step) return marks;
    if (!step.valid) add("invalid", "invalid answer" + (step.reason ? `: ${step.reason}` : ""));
    if (step.repeats !== null) add("repeat", `as step ${step.repeats + 1}: the same state and action`);
    if (view.fatal === i) add("fatal", "the point of no return: success became impossible");
    if (step.reward > 0) add("reward", `reward ${kit.number(step.reward, 3)}`);
    return marks;
  };

  // The steps worth a look; of steps that repeat earlier ones in a row, the first.
  kit.markedSteps = (view) => [...view.steps.keys()].filter((i) => {
    const marks = kit.marks(view, i);
    return marks.some(({ kind }) => kind !== "repeat") || (marks.length > 0 && view.steps[i - 1]?.repeats == null);
  });

  kit.markSigns = (marks) => marks.map(({ kind, sign, word, text }) =>
    kit.el("span", { class: `mark ${kind}`, title: text }, kit.el("i", { "aria-hidden": "true" }, sign), kit.el("span", { class: "word" }, word)));

  // How often each mark is in an episode.
  kit.tally = (view) => {
    const counts = new Map();
    view.steps.forEach((step, i) => {
      for (const { kind } of kit.marks(view, i)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    });
    return Object.keys(KINDS).filter((kind) => counts.has(kind) && kind !== "reward").map((kind) =>
      kit.el("span", { class: `mark ${kind}` }, kit.el("i", { "aria-hidden": "true" }, KINDS[kind].sign), `${kit.number(counts.get(kind))} ${KINDS[kind].word}`));
  };

  // The metrics that an episode has figures of.
  kit.metrics = (view) => Object.keys(METRICS).filter((name) => view.steps.some((step) => METRICS[name][1](step) > 0));
  kit.metricOf = (name) => METRICS[name][1];
  kit.metricName = (view, name) => {
    const [title, of, format] = METRICS[name];
    return `${title} a step, at most ${format(Math.max(...view.steps.map(of)))}`;
  };

  // What a moment is, in one line.
  kit.momentText = (view, moment, differs = null) => {
    if (moment >= view.steps.length) return `End: ${view.outcomeText}`;
    const marks = kit.marks(view, moment, differs).map(({ text }) => text);
    return [`Step ${moment + 1} of ${view.steps.length}: ${view.steps[moment].action}`, ...marks].join("; ");
  };

  // The figures of a step or, at the end, of the episode: the parts of a <dl>.
  kit.momentFacts = (view, moment, marks) => {
    const step = view.steps[moment];
    const fact = (name, value) => [kit.el("dt", {}, name), kit.el("dd", {}, value)];
    if (!step) {
      const sum = (name) => (view.steps.some((one) => one[name] === null) ? null : view.steps.reduce((total, one) => total + one[name], 0));
      return [
        fact("Ended", kit.el("b", {}, view.outcome)), fact("Steps", kit.number(view.steps.length) + (view.shortest ? `; shortest ${view.shortest}` : "")),
        fact("Tokens", `${kit.number(sum("inputTokens"))} in, ${kit.number(sum("outputTokens"))} out`), fact("Cost", kit.dollars(sum("cost"))), fact("Time", kit.seconds(sum("seconds"))),
        ...(view.failure ? [fact("Failure", view.failure.text)] : []),
      ].flat();
    }
    const parts = [[step.cachedTokens, "cached"], [step.reasoningTokens, "to reason"]].filter(([count]) => count);
    const tokens = `${kit.number(step.inputTokens)} in, ${kit.number(step.outputTokens)} out` + parts.map(([count, word]) => `, ${kit.number(count)} ${word}`).join("");
    return [
      fact("Action", [kit.el("b", {}, step.action), " ", ...kit.markSigns(marks.filter(({ kind }) => kind !== "reward"))]),
      step.valid ? [] : fact("Invalid", `${step.reason || "no action"}; “${step.action}” was done`),
      fact("Reward", kit.number(step.reward, step.reward ? 3 : 0)), fact("Tokens", tokens), fact("Cost", kit.dollars(step.cost)), fact("Time", kit.seconds(step.seconds)),
      step.calls === 1 ? [] : fact("Calls", kit.number(step.calls)),
      step.finishReason && step.finishReason !== "stop" ? fact("Stopped by", step.finishReason) : [],
    ].flat();
  };
}
