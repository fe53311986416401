// Command lines that open the scan, its reference and the maps of both models in other viewers.
"use strict";

(() => {
  const COLOR_MAPS = ["hot", "cool"]; // of the left and the right model

  // Return [viewer, command] for each viewer.
  //   scan: data of the scan; place: its voxel under the crosshair; models: [{label, kind, data, t}]
  cordlesion.viewerCommands = (scan, place, models) => [
    ["FSLeyes", fsleyes(scan, place, models)],
    ["ITK-SNAP", itksnap(scan, models)],
  ];

  function fsleyes({ files, affine }, place, models) {
    const parts = ["fsleyes", "--worldLoc", ...cordlesion.printedPlace(affine, place), quote(files.image)];
    models.forEach(({ label, kind, data, t }, n) => {
      const color = ["--cmap", COLOR_MAPS[n], "--displayRange", t, "1", "--clippingRange", t, "1.01"];
      const mask = ["--overlayType", "mask", "--maskColour", "1", "0.3", "0.1"];
      parts.push(quote(data.map), "--name", quote(label), "--alpha", "60", ...(kind === "mask" ? mask : color));
    });
    parts.push(quote(files.reference), "--name", "reference", "--overlayType", "mask", "--outline", "--maskColour", "1", "1", "1");
    return parts.join(" ");
  }

  // ITK-SNAP has no option for a threshold.
  function itksnap({ files }, models) {
    const maps = models.map(({ data }) => quote(data.map));
    return ["itksnap", "-g", quote(files.image), "-s", quote(files.reference), "-o", ...maps].join(" ");
  }

  // Quote a word for a shell, unless it has only harmless characters.
  function quote(word) {
    return /^[\w@%+=:,./-]+$/.test(word) && !word.startsWith("-") ? word : `'${word.replaceAll("'", "'\\''")}'`;
  }

  // Show the commands in the dialog.
  cordlesion.showCommands = (dialog, study, commands) => {
    const { make } = cordlesion;
    const where = study.paths === "absolute" ? "" : "Run them in the folder of the study, where study.yaml is. ";
    dialog.querySelector(".note").textContent = `${where}The maps are shown as they were predicted, before post-processing.`;
    const items = commands.flatMap(([viewer, command]) => {
      const button = make("button", { type: "button" }, "Copy");
      button.addEventListener("click", () => cordlesion.copyText(command, button));
      return [make("dt", {}, viewer), make("dd", {}, make("code", {}, command), button)];
    });
    dialog.querySelector("dl").replaceChildren(...items);
    dialog.showModal();
  };

  // Copy a text, and confirm it on the button.
  cordlesion.copyText = async (text, button) => {
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      window.prompt("Copy this text", text); // browsers may deny clipboard access to pages that are opened as files
    }
    setTimeout(() => (button.textContent = label), 1500);
  };
})();
