"use strict";
/* Pictures: of files or of sprite sheets, drawn on canvases, so that the old one stays until the new one is decoded. */

const PICTURES = (() => {
  const { sheets, places, files } = DATA.cells.pictures;
  return { sheets, places: places.map(numbers), files: files.map(texts) };
})();
const KEPT = 600;

/** Where a cell's picture lies, or null; `kind` is 0 for the source, 1 for the edit, 2 for the cycle. */
function pictureOf(cell, kind) {
  if (cell < 0) return null;
  const number = PICTURES.places[kind][cell];
  if (number >= 0) {
    const sheet = PICTURES.sheets.findLast((one) => one.first <= number);
    const place = number - sheet.first;
    const x = (place % sheet.columns) * sheet.across;
    const y = Math.floor(place / sheet.columns) * sheet.down;
    return { file: sheet.file, x, y, width: sheet.width, height: sheet.height };
  }
  const pattern = PICTURES.files[kind](cell);
  return pattern === null ? null : { file: pattern.replace("*", CELLS.id[cell]) };
}

const loaded = new Map();

/** A decoded picture; the least recently used are forgotten, sheets sooner than files. */
function load(file) {
  let promise = loaded.get(file);
  if (promise) loaded.delete(file);
  else {
    const image = new Image();
    image.src = file;
    promise = image.decode().then(() => image);
    promise.catch(() => loaded.delete(file));
  }
  loaded.set(file, promise);
  const most = PICTURES.sheets.length ? 16 : KEPT;
  if (loaded.size > most) loaded.delete(loaded.keys().next().value);
  return promise;
}

/** Load pictures before they are asked for. */
function preload(pictures) {
  for (const picture of pictures) if (picture) load(picture.file).catch(() => {});
}

/** Draw a picture, or `text` in its place. */
async function draw(canvas, picture, text) {
  const wanted = picture ? `${picture.file} ${picture.x ?? 0},${picture.y ?? 0}` : text;
  canvas.dataset.wanted = wanted;
  let image = null;
  if (picture) {
    try {
      image = await load(picture.file);
    } catch {
      text = "picture not found";
    }
    if (canvas.dataset.wanted !== wanted) return;
  }
  const pen = canvas.getContext("2d");
  const width = picture?.width ?? image?.naturalWidth ?? canvas.width;
  const height = picture?.height ?? image?.naturalHeight ?? canvas.height;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  else if (!image) pen.clearRect(0, 0, width, height);
  if (image) pen.drawImage(image, picture.x ?? 0, picture.y ?? 0, width, height, 0, 0, width, height);
  canvas.parentElement.dataset.missing = image ? "" : text;
  canvas.dataset.shown = wanted;
}
