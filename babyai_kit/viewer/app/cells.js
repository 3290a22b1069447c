// How an episode looks as a cell: a colour and a sign for its outcome, so that neither is needed alone.
"use strict";
{
  // The signs are those of the hatches in the kit's figure of failure classes, where it has one. Unit square.
  const SIGNS = {
    invalid_answers: (c) => { c.moveTo(0.36, 0.38); c.bezierCurveTo(0.36, 0.18, 0.68, 0.18, 0.66, 0.4); c.bezierCurveTo(0.65, 0.5, 0.5, 0.5, 0.5, 0.64); c.moveTo(0.5, 0.76); c.lineTo(0.5, 0.8); },
    goal_destroyed: (c) => { c.moveTo(0.28, 0.28); c.lineTo(0.72, 0.72); c.moveTo(0.72, 0.28); c.lineTo(0.28, 0.72); },
    wrong_object: (c) => { c.moveTo(0.28, 0.74); c.lineTo(0.72, 0.26); },
    loop: (c) => { c.moveTo(0.72, 0.5); c.arc(0.5, 0.5, 0.22, 0, 2 * Math.PI); },
    goal_not_acted_on: (c) => { c.moveTo(0.28, 0.26); c.lineTo(0.72, 0.74); },
    out_of_steps: (c) => { c.moveTo(0.27, 0.5); c.lineTo(0.73, 0.5); },
    failure: (c) => { c.moveTo(0.5, 0.48); c.lineTo(0.5, 0.52); },
    error: (c) => { c.moveTo(0.5, 0.22); c.lineTo(0.5, 0.58); c.moveTo(0.5, 0.74); c.lineTo(0.5, 0.78); },
  };
  const STRENGTHS = 8;
  const SIGN_MIN = 9;  // px: below, a sign is a smudge

  const channels = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);
  const mix = (a, b, share) => a.map((value, i) => Math.round(value * share + b[i] * (1 - share)));
  const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);

  let palette = new Map();
  addEventListener("themechange", () => { palette = new Map(); });

  // {fill, sign}: colours of a kind of cell at a strength (1: full; 0: palest).
  function colours(kind, strength) {
    const key = kind + strength;
    if (!palette.has(key)) {
      const page = channels(kit.colour("--panel"));
      const fill = mix(channels(kit.colour(`--cell-${kind}`)), page, 0.3 + 0.7 * strength);
      const light = luminance(fill);
      palette.set(key, { fill: `rgb(${fill})`, sign: 1.05 / (light + 0.05) > (light + 0.05) / 0.05 ? "#fff" : "#000" });
    }
    return palette.get(key);
  }

  kit.cells = {
    // The kind of an episode: success, a failure class, failure (class not known yet), error, unfinished, planned.
    kind({ names, episodes }, i) {
      const outcome = names.outcomes[episodes.outcome[i]];
      const failure = names.failures[episodes.failure[i]];
      return outcome === "failure" && failure ? (failure.name in SIGNS ? failure.name : "failure") : outcome;
    },

    // How near a success is to the shortest way: 1 is the shortest, 0 is 8 times as long or longer.
    strength({ names, episodes }, i) {
      if (names.outcomes[episodes.outcome[i]] !== "success" || !episodes.shortest[i] || !episodes.length[i]) return 1;
      const times = Math.max(1, episodes.length[i] / episodes.shortest[i]);
      return Math.round(Math.max(0, 1 - Math.log2(times) / 3) * STRENGTHS) / STRENGTHS;
    },

    label({ names, episodes }, i) {
      const outcome = names.outcomes[episodes.outcome[i]];
      const failure = names.failures[episodes.failure[i]];
      return outcome !== "failure" ? outcome : failure ? `failure: ${failure.label}` : episodes.failure[i] === -2 ? "failure, not yet classified" : "failure";
    },

    draw(context, kind, strength, x, y, width, height) {
      if (kind === "planned") {
        context.strokeStyle = kit.cells.colour("--line");
        context.strokeRect(x + 0.5, y + 0.5, Math.max(0, width - 1), height - 1);
        return;
      }
      const { fill, sign } = colours(kind, strength);
      context.fillStyle = fill;
      if (kind === "unfinished") {
        context.strokeStyle = fill;
        context.strokeRect(x + 0.5, y + 0.5, Math.max(0, width - 1), height - 1);
        context.beginPath();
        context.moveTo(x, y); context.lineTo(x, y + height); context.lineTo(x + width, y + height);
        context.fill();
        return;
      }
      context.fillRect(x, y, width, height);
      if (!(kind in SIGNS) || width < SIGN_MIN) return;
      const side = Math.min(width, height);
      context.save();
      context.translate(x + (width - side) / 2, y + (height - side) / 2);
      context.scale(side, side);
      context.beginPath();
      SIGNS[kind](context);
      context.restore();
      context.strokeStyle = sign;
      context.lineWidth = Math.max(1.25, side / 9);
      context.lineCap = "round";
      context.stroke();
      context.lineWidth = 1;
    },

    colour(variable) {
      if (!palette.has(variable)) palette.set(variable, kit.colour(variable));
      return palette.get(variable);
    },

    // A cell of its own, for a legend or beside a word: a small picture, drawn once for all that look alike.
    swatch(kind, strength = 1, size = 13) {
      const element = kit.el("span", { class: "swatch", "aria-hidden": "true", style: { width: size + "px", height: size + "px" } });
      element.redraw = () => {
        const key = `picture ${kind} ${strength} ${size}`;
        if (!palette.has(key)) {
          const canvas = kit.el("canvas");
          kit.cells.draw(kit.cells.prepare(canvas, size, size), kind, strength, 0, 0, size, size);
          palette.set(key, `url(${canvas.toDataURL()})`);
        }
        element.style.backgroundImage = palette.get(key);
      };
      element.redraw();
      return element;
    },

    // A cleared context of that size in CSS px, sharp on this screen.
    prepare(canvas, width, height) {
      const ratio = globalThis.devicePixelRatio || 1;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
      const context = canvas.getContext("2d");
      context.scale(ratio, ratio);
      return context;
    },
  };
  addEventListener("themechange", () => { for (const swatch of document.querySelectorAll(".swatch")) swatch.redraw(); });
}
