// The parts of the page that do not depend on thresholds: sets, sort orders, legend, lesion rule.
"use strict";

(() => {
  const LEGEND = [
    ["hit", "true positive", "1"],
    ["false", "false positive (chequered)", "2"],
    ["missed", "false negative", "3"],
  ];

  // Write the parts that are the same for all scans; chooseSet and hide are callbacks for clicks.
  cordlesion.writeStudy = (study, { chooseSet, hide }) => {
    const find = (id) => document.getElementById(id);
    find("title").textContent = study.title;
    find("rule").textContent =
      `Lesions: ${study.rule}. Tuned thresholds: highest ${study.objective} on the threshold set. cordlesion ${study.version}.`;
    for (const set of new Set(study.scans.map((scan) => scan.set))) find("sets").append(setButton(set, study, chooseSet));
    for (const [name, { label }] of Object.entries(cordlesion.ORDERS)) find("sort").append(new Option(label, name));
    writeLegend(find("legend"), hide);
    cordlesion.describeKeys(find("key-list"));
  };

  // Write name and facts of a scan.
  cordlesion.writeScan = (scan, study) => {
    const find = (id) => document.getElementById(id);
    const volume = scan.volume_mm3 ? `${scan.volume_mm3.toFixed(0)} mm³ of lesions` : "no lesions";
    find("scan").textContent = scan.name;
    find("facts").textContent = [`${scan.set} set`, scan.site, volume].filter(Boolean).join(" · ");
    find("tuning").hidden = scan.set !== "threshold";
    document.title = `${scan.name} – ${study.title}`;
  };

  // Show an error message; hide it if the text is empty.
  cordlesion.showMessage = (text) => {
    const message = document.getElementById("message");
    message.textContent = text;
    message.hidden = !text;
  };

  // Mark the buttons that are on.
  cordlesion.press = (selector, isPressed) => {
    for (const button of document.querySelectorAll(selector)) button.setAttribute("aria-pressed", isPressed(button.dataset));
  };

  function setButton(set, study, chooseSet) {
    const count = study.scans.filter((scan) => scan.set === set).length;
    const button = cordlesion.make("button", { type: "button" }, `${set[0].toUpperCase()}${set.slice(1)} set (${count})`);
    button.dataset.set = set;
    button.addEventListener("click", () => chooseSet(set));
    return button;
  }

  function writeLegend(legend, hide) {
    const { make } = cordlesion;
    for (const [name, label, key] of LEGEND) {
      const button = make("button", { type: "button", title: `Show or hide (key ${key})` });
      button.dataset.hide = name;
      button.append(make("span", { className: `swatch ${name}` }), label);
      button.addEventListener("click", () => hide(name));
      legend.append(button);
    }
    legend.append(
      make("span", { className: "scale" }, "p = 0 ", make("span", { className: "ramp" }), " 1, faint below t"),
      make("span", { className: "only-reference" }, make("span", { className: "swatch reference" }), "reference"),
    );
  }
})();
