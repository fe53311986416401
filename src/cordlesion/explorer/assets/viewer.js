// One picture: a scan with its overlay, drawn by NiiVue; sagittal on the left, axial on the right.
"use strict";

(() => {
  const { Niivue, NVImage, SLICE_TYPE, DRAG_MODE } = niivue;
  const BYTE = 2; // NIfTI data type of unsigned bytes
  const RGBA = 2304; // NIfTI data type of colours with opacity
  const LARGEST_SAGITTAL = 0.7; // share of the width
  const SMALLEST_AXIAL = 0.5; // share of the width, if available
  const CROSS_GAP = 20; // around the centre of the crosshair, in halves of its width
  const LARGEST_RATIO = 4; // of the axial to the sagittal slice, in pixels per millimetre

  cordlesion.LARGEST_ZOOM = 12;

  cordlesion.Viewer = class {
    // Calls moved(place) after the crosshair moved here, and viewed() after zoom, position or window changed here.
    constructor(canvas, { moved, viewed }) {
      this.canvas = canvas;
      this.frame = null;
      this.nv = new Niivue({
        isRadiologicalConvention: true,
        sagittalNoseLeft: true,
        isCornerOrientationText: false,
        showAllOrientationMarkers: true,
        fontMinPx: 11,
        fontSizeScaling: 0.15,
        fontColor: [0.85, 0.85, 0.85, 1],
        crosshairColor: [0.35, 0.75, 1, 0.7],
        crosshairWidthUnit: "mm",
        crosshairGap: CROSS_GAP,
        multiplanarShowRender: 0,
        dragAndDropEnabled: false,
        isForceMouseClickToVoxelCenters: true, // places are voxels
        isAntiAlias: false,
        logLevel: "error",
        clipPlaneHotKey: "",
        cycleClipPlaneHotKey: "",
        viewModeHotKey: "",
        loadingText: "",
        mouseEventConfig: {
          leftButton: { primary: DRAG_MODE.crosshair, withShift: DRAG_MODE.pan },
          rightButton: DRAG_MODE.windowing,
          centerButton: DRAG_MODE.pan,
        },
      });
      this.nv.onLocationChange = ({ frac }) => {
        if (this.frame) moved(this.frame.toPlace(this.voxelAt(frac)));
      };
      this.nv.onIntensityChange = viewed;
      this.nv.onVolumeUpdated = () => this.upload();
      for (const event of ["pointerup", "mouseup", "touchend"]) canvas.addEventListener(event, viewed);
      canvas.addEventListener("wheel", (event) => this.zoom(event, viewed), { capture: true, passive: false });
      smoothScanSharpOverlay(this.nv);
      thinCross(this.nv);
    }

    async start() {
      await this.nv.attachToCanvas(this.canvas, false);
      new ResizeObserver(() => this.frame && this.arrange()).observe(this.canvas.parentElement);
    }

    // Show a frame without overlay.
    async open(frame, [low, high]) {
      const bytes = NVImage.createNiftiArray(frame.shape, frame.spacing, frame.affine.flat(), BYTE, frame.image);
      const image = await NVImage.new(bytes.buffer, "scan.nii", "gray", 1, null, low, high);
      const overlay = image.clone();
      this.colors = new Uint32Array(frame.image.length);
      this.bytes = new Uint8Array(this.colors.buffer);
      Object.assign(overlay, { hdr: { ...overlay.hdr, datatypeCode: RGBA, numBitsPerVoxel: 32 }, img: this.bytes });
      this.frame = null; // events of the removed volumes do not belong to the new frame
      while (this.nv.volumes.length) this.nv.removeVolumeByIndex(this.nv.volumes.length - 1);
      this.nv.addVolume(image);
      this.nv.addVolume(overlay);
      this.frame = frame;
      this.arrange();
    }

    // Update the colours of the overlay; nothing else changes when the slider moves.
    paint(levels, index, look) {
      cordlesion.paint(this.colors, this.frame, levels, index, look);
      this.upload();
      this.nv.drawScene();
    }

    // Copy the colours to the graphics card in one call; NiiVue would draw the overlay into its texture slice by slice.
    upload() {
      if (!this.frame) return;
      const { gl, overlayTexture } = this.nv;
      gl.activeTexture(gl.TEXTURE2); // the texture of overlays in NiiVue
      gl.bindTexture(gl.TEXTURE_3D, overlayTexture);
      gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, 0, ...this.frame.shape, gl.RGBA, gl.UNSIGNED_BYTE, this.bytes);
    }

    // Move the crosshair to a voxel of the scan.
    goTo(place) {
      const { shape } = this.frame;
      const frac = this.frame.toVoxel(place).map((index, axis) => (cordlesion.clamp(index, 0, shape[axis] - 1) + 0.5) / shape[axis]);
      frac[0] = 1 - frac[0]; // NiiVue counts from left to right
      this.nv.scene.crosshairPos = Float32Array.from(frac);
      this.nv.drawScene();
    }

    get pan() {
      return Array.from(this.nv.scene.pan2Dxyzmm);
    }

    set pan(values) {
      this.nv.scene.pan2Dxyzmm = Float32Array.from(values);
      this.nv.drawScene();
    }

    get window() {
      const [{ cal_min: low, cal_max: high }] = this.nv.volumes;
      return [low, high];
    }

    set window([low, high]) {
      const [image] = this.nv.volumes;
      if (image.cal_min === low && image.cal_max === high) return;
      image.cal_min = low;
      image.cal_max = high;
      this.nv.updateGLVolume();
    }

    voxelAt(frac) {
      const { shape } = this.frame;
      const fractions = [1 - frac[0], frac[1], frac[2]];
      return fractions.map((share, axis) => cordlesion.clamp(Math.floor(share * shape[axis]), 0, shape[axis] - 1));
    }

    zoom(event, viewed) {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      const [x, y, z, scale] = this.pan;
      this.pan = [x, y, z, cordlesion.clamp(scale * (event.deltaY < 0 ? 1.15 : 1 / 1.15), 1, cordlesion.LARGEST_ZOOM)];
      viewed();
    }

    // Give the sagittal slice the width that it needs, the axial slice the rest, and both equal margins.
    arrange() {
      const { clientWidth: width, clientHeight: height } = this.canvas;
      const [left, anterior, superior] = this.frame.shape.map((n, axis) => n * this.frame.spacing[axis]);
      const sagittal = Math.min((height / superior) * anterior, width * LARGEST_SAGITTAL);
      const wanted = Math.max(((LARGEST_RATIO * sagittal) / anterior) * left, width * SMALLEST_AXIAL);
      const axial = Math.min((height / anterior) * left, width - sagittal, wanted);
      const margin = (width - sagittal - axial) / 3;
      const place = (start, size) => [start / width, 0, size / width, 1];
      Object.assign(this.canvas.dataset, { sagittal: [margin, sagittal], axial: [2 * margin + sagittal, axial] }); // pixels
      this.nv.setCustomLayout([
        { sliceType: SLICE_TYPE.SAGITTAL, position: place(margin, sagittal) },
        { sliceType: SLICE_TYPE.AXIAL, position: place(2 * margin + sagittal, axial) },
      ]);
    }
  };

  // In NiiVue the crosshairs of all slices have one width in millimetres; here it is one pixel, at any zoom.
  function thinCross(nv) {
    const draw = nv.drawCrosshairs3D.bind(nv);
    const kept = {}; // by slice: {width, cross}
    nv.drawCrosshairs3D = (...how) => {
      const { axCorSag, fovMM, leftTopWidthHeight } = nv.screenSlices.at(-1);
      const width = (Math.abs(fovMM[0]) / leftTopWidthHeight[2]) * window.devicePixelRatio;
      nv.crosshairs3D = kept[axCorSag]?.cross ?? null;
      if (nv.crosshairs3D && kept[axCorSag].width !== width) nv.crosshairs3D.mm[0] = NaN;  // forces NiiVue to create it again
      nv.opts.crosshairWidth = width;
      draw(...how);
      kept[axCorSag] = { width, cross: nv.crosshairs3D };
    };
  }

  // NiiVue interpolates all layers or none; here the scan is smooth and the overlay shows single voxels.
  function smoothScanSharpOverlay(nv) {
    const update = nv.updateInterpolation.bind(nv);
    nv.updateInterpolation = (layer, isForceLinear) => {
      nv.opts.isNearestInterpolation = layer > 0;
      update(layer, isForceLinear);
    };
  }
})();
