import { type RefObject, useCallback, useLayoutEffect, useRef, useState } from 'react';
import { TallScroll } from './tall-scroll.ts';

/** Rows that are drawn above and below those that are seen. */
const spare = 6;

interface Options {
  readonly count: number;
  readonly rowHeight: number;
  /** Pixels of the element's height that a head covers. */
  readonly head: number;
}

type Ref = RefObject<HTMLDivElement | null>;

interface Scrolled {
  /** Of the element that scrolls, of what gives it its height, and of what holds the rows that are drawn. */
  readonly box: Ref;
  readonly space: Ref;
  readonly rows: Ref;
  /** The rows that are to be drawn: from the first to before the last. */
  readonly range: readonly [number, number];
  readonly reveal: (index: number) => void;
  /** Rows that are seen at once. */
  readonly page: number;
}

/** A list of any length, of which the rows in sight are drawn. */
export function useTallScroll({ count, rowHeight, head }: Options): Scrolled {
  const box = useRef<HTMLDivElement>(null);
  const space = useRef<HTMLDivElement>(null);
  const rows = useRef<HTMLDivElement>(null);
  const scroll = useRef<TallScroll>(null);
  const [height, setHeight] = useState(0);
  const [top, setTop] = useState(0);
  const view = Math.max(0, height - head);
  useLayoutEffect(() => {
    const element = box.current!;
    const one = new TallScroll({ box: element, space: space.current!, rows: rows.current! }, setTop);
    scroll.current = one;
    const measure = (): void => setHeight(element.clientHeight);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => {
      observer.disconnect();
      one.close();
    };
  }, []);
  useLayoutEffect(() => scroll.current!.resize({ count, rowHeight, view }), [count, rowHeight, view]);
  useLayoutEffect(() => scroll.current!.draw());
  const reveal = useCallback((index: number) => scroll.current!.reveal(index), []);
  const first = Math.max(0, Math.min(top, count - 1) - spare);
  const last = Math.min(count, top + Math.ceil(view / rowHeight) + spare);
  return { box, space, rows, range: [first, last], reveal, page: Math.max(1, Math.floor(view / rowHeight)) };
}
