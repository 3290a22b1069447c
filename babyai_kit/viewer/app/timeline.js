// The steps of an episode as one graph: marks above, a bar per step below. It is a slider, too.
"use strict";
{
  const TOP = 20, BARS = 40, FOOT = 15, LEFT = 8, WIDEST = 40;

  // `go(moment)`: somebody chose one. `label`: in front of what the slider says.
  kit.timeline = ({ go, label = "Step", compact = false }) => {
    const bars = compact ? 14 : BARS, foot = compact ? 0 : FOOT, height = TOP + bars + foot;
    const graph = kit.svg("svg", { height, "aria-hidden": "true" });
    const now = kit.svg("rect", { class: "now", y: 0, height: TOP + bars });
    const element = kit.el("div", { class: "timeline", role: "slider", tabIndex: 0, "aria-label": label, "aria-valuemin": 1 }, graph);
    const state = { view: null, moments: 1, metric: null, at: 0, differs: null };
    let width = 0;

    const slot = () => Math.min(WIDEST, (width - 2 * LEFT) / Math.max(1, state.moments));
    const x = (moment) => LEFT + moment * slot();
    const bar = (i, gap) => ({ x: x(i) + gap / 2, width: Math.max(0.75, slot() - gap) });

    function draw() {
      const { view, metric } = state;
      if (!view || width === 0) return;
      const parts = [kit.svg("rect", { class: "ground", x: LEFT, y: TOP, width: Math.max(0, x(view.steps.length) - LEFT), height: bars })];
      if (view.fatal !== null && view.fatal < view.steps.length) {
        parts.push(kit.svg("rect", { class: "lost", x: x(view.fatal + 1), y: TOP, width: x(view.steps.length) - x(view.fatal + 1), height: bars }));
      }
      const values = view.steps.map(metric ? kit.metricOf(metric) : () => null);
      const largest = Math.max(...values, 0);
      const gap = slot() > 5 ? 1.5 : slot() > 2.5 ? 0.5 : 0;
      values.forEach((value, i) => {
        const tall = largest > 0 && value !== null ? Math.max(1, (value / largest) * (bars - 2)) : compact ? 3 : 1;
        const kind = view.steps[i].valid ? "bar" : "bar invalid";
        parts.push(kit.svg("rect", { class: kind, y: TOP + bars - tall, height: tall, ...bar(i, gap) }));
      });
      view.steps.forEach((step, i) => {
        const marks = kit.marks(view, i, state.differs);
        if (step.repeats !== null) parts.push(kit.svg("rect", { class: "again", y: TOP - 3, height: 3, ...bar(i, 0) }));
        const main = marks.find(({ kind }) => kind !== "repeat");
        if (main) parts.push(kit.svg("text", { class: `sign ${main.kind}`, x: x(i + 0.5), y: TOP - 6 }, main.sign));
        if (view.fatal === i || state.differs === i) {
          const kind = view.fatal === i ? "fatal" : "differs";
          const place = view.fatal === i ? x(i + 1) : x(i);
          parts.push(kit.svg("line", { class: `edge ${kind}`, x1: place, x2: place, y1: TOP - 3, y2: TOP + bars }));
        }
      });
      if (state.differs === view.steps.length) parts.push(kit.svg("text", { class: "sign differs", x: x(state.differs + 0.5), y: TOP - 6 }, "≠"));
      if (!compact) parts.push(...scale());
      graph.setAttribute("width", width);
      graph.replaceChildren(...parts, now);
      mark();
    }

    function scale() {
      const { view } = state;
      const every = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((n) => n * slot() > 34) || 1000;
      const numbers = view.steps.map((step, i) => i + 1).filter((n) => n === 1 || n % every === 0);
      const texts = numbers.map((n) => kit.svg("text", { class: "tick", x: x(n - 0.5), y: height - 3 }, String(n)));
      if (slot() * (view.steps.length % every) > 24 || every === 1) texts.push(kit.svg("text", { class: "tick", x: x(view.steps.length + 0.5), y: height - 3 }, "end"));
      return texts;
    }

    function mark() {
      const { view, at } = state;
      const shown = Math.min(at, view.steps.length);
      now.setAttribute("x", x(shown));
      now.setAttribute("width", Math.max(2, slot()));
      element.setAttribute("aria-valuemax", view.steps.length + 1);
      element.setAttribute("aria-valuenow", shown + 1);
      element.setAttribute("aria-valuetext", kit.momentText(view, shown, state.differs));
    }

    const chosen = ({ clientX }) => {
      const place = clientX - graph.getBoundingClientRect().left;
      return Math.min(Math.max(0, Math.floor((place - LEFT) / slot())), state.view.steps.length);
    };
    element.onpointerdown = (event) => {
      if (event.button !== 0 || !state.view) return;
      element.setPointerCapture(event.pointerId);
      go(chosen(event));
    };
    element.onpointermove = (event) => {
      if (!state.view) return;
      if (element.hasPointerCapture(event.pointerId)) go(chosen(event));
      element.title = kit.momentText(state.view, chosen(event), state.differs);
    };
    new ResizeObserver(([{ contentRect }]) => {
      width = contentRect.width;
      draw();
    }).observe(element);

    return {
      element,
      // `moments`: of the scale; as many as the longest of several episodes has.
      show(view, { moments = view.steps.length + 1, metric = null, differs = null } = {}) {
        Object.assign(state, { view, moments, metric, differs });
        draw();
      },
      at(moment) {
        state.at = moment;
        if (state.view && width > 0) mark();
      },
    };
  };
}
