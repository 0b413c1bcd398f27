/** Pixels. Browsers cut an element off at some 17 million (Firefox) or 33 million (Chromium). */
const tallest = 8_000_000;
/** Milliseconds without movement after which a scroll has ended. */
const settleTime = 140;

/** How far a list can be scrolled, and how far the element that stands for it. */
interface Span {
  readonly list: number;
  readonly element: number;
}

/** Where an offset of the list lies in the element. Near both ends one is the other; between them, the list is pressed together. */
function toElement(offset: number, { list, element }: Span): number {
  const end = element / 4;
  if (list <= element || offset <= end) return offset;
  if (offset >= list - end) return offset - list + element;
  return end + ((offset - end) / (list - 2 * end)) * (element - 2 * end);
}

/** The inverse of `toElement`. */
function toList(offset: number, { list, element }: Span): number {
  const end = element / 4;
  if (list <= element || offset <= end) return offset;
  if (offset >= element - end) return offset - element + list;
  return end + ((offset - end) / (element - 2 * end)) * (list - 2 * end);
}

/** The element that scrolls, what gives it its height, and what holds the rows that are drawn. */
export interface ScrollElements {
  readonly box: HTMLElement;
  readonly space: HTMLElement;
  readonly rows: HTMLElement;
}

interface Size {
  readonly count: number;
  readonly rowHeight: number;
  /** Pixels of rows that are seen at once. */
  readonly view: number;
}

/**
 * Scrolls through any number of rows of one height. A small movement moves by as many pixels as the browser says; a large one, as of
 * a scroll bar, goes to the same share of the list.
 */
export class TallScroll {
  readonly #elements: ScrollElements;
  /** Takes the row at the upper edge. */
  readonly #onTop: (row: number) => void;
  #size: Size = { count: 0, rowHeight: 1, view: 0 };
  /** Offset in the list, and that of the element. */
  #place = { list: 0, element: 0 };
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(elements: ScrollElements, onTop: (row: number) => void) {
    this.#elements = elements;
    this.#onTop = onTop;
    elements.box.addEventListener('scroll', this.#scrolled, { passive: true });
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#elements.box.removeEventListener('scroll', this.#scrolled);
  }

  resize(size: Size): void {
    this.#size = size;
    this.#elements.space.style.height = `${Math.min(size.count * size.rowHeight, tallest)}px`;
    this.#goTo(this.#place.list);
  }

  /** Puts the rows that are drawn where they belong: by hand, so that they do not lag behind a movement that React has yet to draw. */
  draw(): void {
    const [{ list, element }, { rows }] = [this.#place, this.#elements];
    const top = Number(rows.dataset['first'] ?? 0) * this.#size.rowHeight;
    rows.style.transform = `translateY(${top - list + element}px)`;
  }

  /** Scrolls as little as shows a row. */
  reveal(index: number): void {
    const { rowHeight, view } = this.#size;
    const [top, { list }] = [index * rowHeight, this.#place];
    if (top < list) this.#goTo(top);
    else if (top + rowHeight > list + view) this.#goTo(top + rowHeight - view);
  }

  get #span(): Span {
    const { count, rowHeight, view } = this.#size;
    const total = count * rowHeight;
    return { list: Math.max(0, total - view), element: Math.max(0, Math.min(total, tallest) - view) };
  }

  readonly #scrolled = (): void => {
    const { box } = this.#elements;
    const [element, span] = [box.scrollTop, this.#span];
    const moved = element - this.#place.element;
    const isSmall = Math.abs(moved) <= 3 * box.clientHeight;
    const list = isSmall ? this.#place.list + moved : toList(element, span);
    this.#moveTo(Math.max(0, Math.min(span.list, list)), element);
    clearTimeout(this.#timer);
    // While it moves, setting its place would stop it.
    this.#timer = setTimeout(() => this.#goTo(this.#place.list), settleTime);
  };

  #goTo(offset: number): void {
    const [{ box }, span] = [this.#elements, this.#span];
    const list = Math.max(0, Math.min(span.list, offset));
    // Whole, so that it need not be read back, which would have the browser lay out the page at once.
    const element = Math.round(toElement(list, span));
    box.scrollTop = element;
    this.#moveTo(list, element);
  }

  #moveTo(list: number, element: number): void {
    this.#place = { list, element };
    this.#onTop(Math.floor(list / this.#size.rowHeight));
    this.draw();
  }
}
