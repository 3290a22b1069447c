// The controls that move through the moments of one or several episodes: buttons, play with its speeds, and keys.
"use strict";
{
  const SPEEDS = [1, 2, 4, 8, 16];
  const SHAPES = {
    first: "M4 3v10M12 3 7 8l5 5",
    back: "M10 3 5 8l5 5",
    play: "M5 2.5 13 8l-8 5.5z",
    pause: "M5 3v10M11 3v10",
    forward: "M6 3l5 5-5 5",
    last: "M12 3v10M4 3l5 5-5 5",
  };
  let speed = 4;

  const icon = (name) => kit.svg("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", class: name === "play" ? "icon solid" : "icon" }, kit.svg("path", { d: SHAPES[name] }));

  // `last()`: the last moment; `marked()`: those worth a look, in order; `show(moment, playing)`: put it on screen.
  kit.stepper = ({ last, marked, show }) => {
    let now = 0;
    let timer = null;

    const button = (name, label, onclick) => kit.el("button", { type: "button", class: "step", "aria-label": label, title: label, onclick }, icon(name));
    const buttons = {
      first: button("first", "First (Home)", () => go(0)),
      back: button("back", "Back (←)", () => go(now - 1)),
      play: button("play", "Play (Space)", () => toggle()),
      forward: button("forward", "Forward (→)", () => go(now + 1)),
      last: button("last", "Last (End)", () => go(last())),
    };
    const pace = kit.el("select", { "aria-label": "Steps a second", title: "Steps a second", onchange: () => { speed = Number(pace.value); if (timer) play(); } },
      SPEEDS.map((n) => kit.el("option", { value: n, selected: n === speed }, `${n}/s`)));
    const previous = kit.el("button", { type: "button", "aria-label": "Previous marked step", title: "Previous marked step (p)", onclick: () => jump(-1) }, "‹ ", kit.el("span", { class: "narrow", "aria-hidden": "true" }, "!"), kit.el("span", { class: "word" }, "Marked"));
    const next = kit.el("button", { type: "button", "aria-label": "Next marked step", title: "Next marked step (n)", onclick: () => jump(1) }, kit.el("span", { class: "word" }, "Marked"), kit.el("span", { class: "narrow", "aria-hidden": "true" }, "!"), " ›");
    const element = kit.el("div", { class: "stepper", role: "group", "aria-label": "Steps" }, Object.values(buttons), pace, previous, next);

    function put(moment, playing) {
      now = Math.min(Math.max(moment, 0), last());
      if (now === last()) pause();
      update();
      show(now, playing && timer !== null);
    }
    function go(moment) {
      pause();
      put(moment, false);
    }
    function jump(direction) {
      const found = marked().filter((moment) => (moment - now) * direction > 0);
      if (found.length) go(direction > 0 ? found[0] : found[found.length - 1]);
    }
    function face(name, label) {
      buttons.play.replaceChildren(icon(name));
      buttons.play.setAttribute("aria-label", label);
      buttons.play.title = label;
    }
    function pause() {
      clearInterval(timer);
      timer = null;
      face("play", "Play (Space)");
    }
    function play() {
      if (now === last()) put(0, true);
      clearInterval(timer);
      timer = setInterval(() => put(now + 1, true), 1000 / speed);
      face("pause", "Pause (Space)");
    }
    const toggle = () => (timer === null ? play() : pause());

    function update() {
      const marks = marked();
      // A disabled button would lose the focus of whoever presses it again and again.
      for (const [one, off] of [[buttons.first, now === 0], [buttons.back, now === 0], [buttons.forward, now === last()], [buttons.last, now === last()],
        [previous, !marks.some((moment) => moment < now)], [next, !marks.some((moment) => moment > now)]]) {
        one.setAttribute("aria-disabled", String(off));
      }
    }

    return {
      element, go, pause, update,
      get now() { return now; },
      // To the moment without a word to anybody: the page is drawn anew anyway.
      set(moment) { now = Math.min(Math.max(moment, 0), last()); update(); },
      keys: {
        ArrowLeft: ["step back", () => go(now - 1)],
        ArrowRight: ["step forward", () => go(now + 1)],
        Home: ["to the start", () => go(0)],
        End: ["to the end", () => go(last())],
        " ": ["play or pause", toggle],
        n: ["next marked step", () => jump(1)],
        p: ["previous marked step", () => jump(-1)],
      },
    };
  };

  // Puts the step into the address when it has come to rest: browsers allow only so many changes.
  kit.stepInAddress = () => {
    let wait = null;
    return {
      set(page, params) {
        clearTimeout(wait);
        const { hash } = location;
        wait = setTimeout(() => {
          // Somebody may have gone elsewhere meanwhile.
          if (location.hash === hash) history.replaceState(history.state, "", kit.link(page, params));
        }, 200);
      },
      stop: () => clearTimeout(wait),
    };
  };
}
