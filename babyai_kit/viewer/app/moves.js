// The actions of an episode as a list: numbered, the present one marked, what went wrong with sign and word.
"use strict";
{
  kit.moves = ({ go, label = "Actions" }) => {
    const element = kit.el("ol", { class: "moves", "aria-label": label });
    let rows = [];
    let now = -1;

    // Scrolls the list alone, and only as far as needed.
    function reveal(row) {
      const { offsetTop: top, offsetHeight: height } = row;
      if (top < element.scrollTop) element.scrollTop = top - height;
      else if (top + height > element.scrollTop + element.clientHeight) element.scrollTop = top + 2 * height - element.clientHeight;
    }

    return {
      element,
      show(view, differs = null) {
        const move = (i, action, marks, kind) => {
          const names = ["move", kind, ...marks.map((mark) => mark.kind)].filter(Boolean).join(" ");
          return kit.el("li", {}, kit.el("button", { type: "button", class: names, tabIndex: -1, onclick: () => go(i) },
            kit.el("span", { class: "number" }, i === view.steps.length ? "" : String(i + 1)),
            kit.el("span", { class: "action" }, action), kit.markSigns(marks)));
        };
        const end = view.steps.length;
        const items = view.steps.map(({ action }, i) => move(i, action, kit.marks(view, i, differs)));
        items.push(move(end, kit.outcomeSign(view.outcome) + " " + (view.outcome === "unfinished" ? "so far" : view.outcome), kit.marks(view, end, differs), `end ${view.outcome}`));
        rows = items.map((item) => item.firstChild);
        now = -1;
        element.replaceChildren(...items);
      },
      at(moment) {
        const row = rows[Math.min(moment, rows.length - 1)];
        if (now >= 0 && rows[now]) {
          rows[now].removeAttribute("aria-current");
          rows[now].tabIndex = -1;
        }
        now = rows.indexOf(row);
        row.setAttribute("aria-current", "step");
        row.tabIndex = 0;
        reveal(row);
      },
    };
  };

  const SIGNS = { success: "✓", failure: "✗", error: "⚠", unfinished: "…", planned: "" };
  kit.outcomeSign = (outcome) => SIGNS[outcome] ?? "";

  // How an episode ended, as a badge.
  kit.outcomeBadge = (view) => kit.el("span", { class: `outcome ${view.outcome}`, title: view.failure?.text ?? view.outcomeText },
    `${kit.outcomeSign(view.outcome)} ${view.outcome}` + (view.failure ? `: ${view.failure.label}` : ""));
}
