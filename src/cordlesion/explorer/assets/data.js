// Loads the data of the study on demand, as scripts, because a page that is opened as a file can load nothing else.
"use strict";

const cordlesion = {};

(() => {
  const KEPT = 60;
  const waiting = new Map();
  const loaded = new Map();

  // Each data file calls this with its name.
  cordlesion.receive = (name, value) => {
    const promise = waiting.get(name);
    if (!promise) return;
    if (value.error) promise.reject(new Error(value.error));
    else promise.resolve(value);
  };

  // Load a data file by name, e.g. "s0003/scan"; a rejected promise has a readable error message.
  cordlesion.load = (name) => {
    const known = loaded.get(name);
    loaded.delete(name);
    const promise = known || request(name);
    loaded.set(name, promise); // now the most recent
    forgetOldest();
    return promise;
  };

  // Files that are still loading are kept: a second request for them would never be resolved.
  function forgetOldest() {
    const arrived = [...loaded.keys()].filter((name) => !waiting.has(name));
    for (const name of arrived.slice(0, Math.max(0, loaded.size - KEPT))) loaded.delete(name);
  }

  function request(name) {
    const script = document.createElement("script");
    const promise = new Promise((resolve, reject) => {
      waiting.set(name, { resolve, reject });
      script.onerror = () => reject(new Error(`${name}: cannot be loaded. Check that the server runs and no file is missing.`));
    });
    const forget = () => {
      waiting.delete(name);
      script.remove();
    };
    promise.then(forget, () => {
      forget();
      loaded.delete(name); // the next request may succeed
    });
    script.src = `data/${name}.js`;
    document.head.append(script);
    return promise;
  }

  // Unpack an array (see pack.py): 8-bit or 16-bit numbers, first axis fastest.
  cordlesion.unpack = async (packed) => {
    const bytes = Uint8Array.from(atob(packed.gzip), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const buffer = await new Response(stream).arrayBuffer();
    const values = packed.type === "uint16" ? new Uint16Array(buffer) : new Uint8Array(buffer);
    return { values, shape: packed.shape, start: packed.start || [0, 0, 0] };
  };
})();
