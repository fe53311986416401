"use strict";
// Nothing here is needed to read the page: tables can be sorted, texts copied, scans put in another order, folds opened
// by links.
(() => {
  const said = document.getElementById("said");
  const say = (text) => { said.textContent = text; };
  document.querySelectorAll(".tools").forEach((tools) => { tools.hidden = false; });

  const copyOld = (text) => {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done ? Promise.resolve() : Promise.reject(new Error("copy"));
  };
  const copy = (text) => navigator.clipboard ? navigator.clipboard.writeText(text).catch(() => copyOld(text)) : copyOld(text);
  document.querySelectorAll("button.copy").forEach((button) => {
    const label = button.textContent;
    button.addEventListener("click", () => copy(button.nextElementSibling.textContent).then(
      () => { button.textContent = "Copied"; say(button.getAttribute("aria-label").replace("Copy", "Copied")); },
      () => { button.textContent = "Not copied"; say("The browser does not let this page copy; the files are in tables/."); },
    ).then(() => setTimeout(() => { button.textContent = label; button.focus(); }, 1500)));
  });

  // What a cell says first: its value, not what is printed smaller after it.
  const main = (cell) => [...cell.childNodes].filter((node) => !/^(SMALL|SUP)$/.test(node.nodeName)).map((node) => node.textContent).join("").trim();
  const value = (cell) => {
    const text = main(cell).replace("\u2212", "-");
    if (text === "\u2013" || text === "") return null;
    const found = text.match(/^(<\s*)?([-+]?\d+(\.\d+)?)/);
    return found ? Number(found[2]) - (found[1] ? 1e-9 : 0) : text.toLowerCase();
  };
  const compare = (a, b) => {
    if (a === null || b === null) return a === b ? 0 : a === null ? 2 : -2;
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1;
  };
  // Rows alone, each with the name of its group, so that they can stand anywhere.
  const flatten = (table) => [...table.tBodies].flatMap((body) => {
    const name = body.querySelector("th");
    return [...body.rows].map((row) => {
      const copyOfRow = row.cloneNode(true);
      copyOfRow.querySelectorAll("th").forEach((cell) => cell.remove());
      const own = name.cloneNode(true);
      own.removeAttribute("rowspan");
      own.scope = "row";
      copyOfRow.prepend(own);
      return copyOfRow;
    });
  });
  const sortable = (table) => {
    const original = [...table.tBodies];
    const rows = flatten(table);
    const kind = table.dataset.kind === "" ? null : Number(table.dataset.kind);
    const kindOf = (row) => kind === null ? "" : main(row.cells[kind]);
    const kinds = [...new Set(rows.map(kindOf))];
    const heads = [...table.tHead.rows[0].cells];
    const show = (bodies) => { [...table.tBodies].forEach((body) => body.remove()); table.append(...bodies); };
    const sort = (column, direction) => kinds.map((one) => {
      const body = document.createElement("tbody");
      body.append(...rows.filter((row) => kindOf(row) === one).sort((a, b) => {
        const order = compare(value(a.cells[column]), value(b.cells[column]));
        return Math.abs(order) === 2 ? order : direction * order;
      }));
      return body;
    });
    heads.forEach((head, column) => {
      const title = head.textContent;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const numeric = rows.some((row) => typeof value(row.cells[column]) === "number");
        const order = numeric ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
        const before = head.getAttribute("aria-sort");
        const after = before ? order[(order.indexOf(before) + 1) % 3] : order[0];
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (after === "none") show(original);
        else { show(sort(column, after === "ascending" ? 1 : -1)); head.setAttribute("aria-sort", after); }
        const together = kinds.length > 1 ? `, rows of one ${heads[kind].textContent.toLowerCase()} together` : "";
        say(after === "none" ? "In the order of the report." : `Sorted by ${title}, ${after}${together}.`);
      });
    });
  };
  document.querySelectorAll("figure.table table").forEach((table) => { if (flatten(table).length > 2) sortable(table); });

  // A table that is wider than the page scrolls by itself; others keep their heads in view while the page scrolls.
  const fit = () => document.querySelectorAll(".scroll").forEach((box) => {
    box.classList.remove("wide");
    box.classList.toggle("wide", box.scrollWidth > box.clientWidth);
  });
  addEventListener("resize", fit);
  fit();

  // Links lead into folded sections; paper shows them unfolded.
  const folds = [...document.querySelectorAll("details.fold")];
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let one = target; one; one = one.parentElement) if (one.nodeName === "DETAILS") one.open = true;
    const fold = target.querySelector(":scope > details.fold");
    if (fold) fold.open = true;
    target.scrollIntoView({ behavior: "instant" });
  };
  addEventListener("hashchange", reveal);
  reveal();
  const unfold = document.querySelector("#folds button");
  unfold.addEventListener("click", () => {
    const open = folds.some((one) => !one.open);
    folds.forEach((one) => { one.open = open; });
    unfold.textContent = open ? "Fold everything" : "Unfold everything";
    fit();
  });
  folds.forEach((one) => one.addEventListener("toggle", fit));
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = folds.filter((one) => !one.open);
    folded.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((one) => { one.open = false; }));

  const order = document.getElementById("order");
  const gallery = document.querySelector(".gallery");
  // A page may have been cut before it was passed on.
  if (!order || !gallery) return;
  const keys = {
    overlap: (one) => one.dataset.overlap === "" ? 2 : Number(one.dataset.overlap),
    missed: (one) => -Number(one.dataset.missed),
    false: (one) => -Number(one.dataset.false),
    outside: (one) => -Number(one.dataset.outside),
    name: (one) => one.dataset.name,
  };
  const given = [...gallery.children];
  order.addEventListener("change", () => {
    const key = keys[order.value];
    gallery.append(...[...given].sort((a, b) => key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : given.indexOf(a) - given.indexOf(b)));
    say(`Scans: ${order.selectedOptions[0].textContent}.`);
  });
})();
