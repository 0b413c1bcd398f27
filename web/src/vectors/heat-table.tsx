import { type CSSProperties, type KeyboardEvent, useId, useRef, useState } from 'react';
import { Link } from '../router.tsx';
import { number } from '../text.ts';
import {
  type Cell,
  type Grid,
  gridOf,
  isBroken,
  type MapSettings,
  toneOf,
  type Validation,
} from './validation-settings.ts';

interface HeatTableProps {
  /** Of the vector. */
  readonly name: string;
  readonly validation: Validation;
  readonly settings: MapSettings;
}

/** A place in the grid, by row and column. */
interface Place {
  readonly row: number;
  readonly column: number;
}

/**
 * Layer × strength as a table of numbers with colours behind them. Arrow keys and the pointer choose a cell, whose numbers
 * are told in full.
 */
export function HeatTable({ name, validation, settings }: HeatTableProps) {
  const isRandom = settings.direction === 'random';
  const grid = gridOf(isRandom ? validation.random : validation.cells);
  const [place, setPlace] = useState<Place>(() => firstPlace(grid, validation));
  const told = useId();
  const what = settings.measure === 'score' ? 'Trait score' : 'Coherence';
  const cell = grid.at(grid.layers[place.row]!, grid.strengths[place.column]!);
  return (
    <>
      <div className="scroll">
        <Cells
          label={`${what} by layer and strength${isRandom ? ', of a random direction' : ''}`}
          told={told}
          place={place}
          onPlace={setPlace}
          {...{ grid, validation, settings }}
        />
      </div>
      <p id={told} className="cell-told">
        {cell === undefined ? (
          <span className="soft">Not measured: the second, finer pass ran around the best cell alone.</span>
        ) : (
          <>
            {sentenceOf(cell)}{' '}
            {!isRandom && <Link href={playgroundOf(name, validation, cell)}>Try it in the playground</Link>}
          </>
        )}
      </p>
    </>
  );
}

interface CellsProps {
  readonly label: string;
  /** Id of what tells of the chosen cell. */
  readonly told: string;
  readonly grid: Grid;
  readonly validation: Validation;
  readonly settings: MapSettings;
  readonly place: Place;
  readonly onPlace: (place: Place) => void;
}

function Cells({ label, told, grid, validation, settings, place, onPlace }: CellsProps) {
  const body = useRef<HTMLTableSectionElement>(null);
  const move = (event: KeyboardEvent): void => {
    const next = moved(place, event, grid);
    if (next === null) return;
    event.preventDefault();
    onPlace(next);
    body.current?.rows[next.row]?.querySelectorAll('td')[next.column]?.focus();
  };
  return (
    // A table whose cells keys choose is what ARIA calls a grid.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-element-to-interactive-role
    <table className="heat" role="grid" aria-label={label} aria-describedby={told} onKeyDown={move}>
      <thead>
        <tr>
          <th scope="col">Layer</th>
          {grid.strengths.map((strength) => (
            <th key={strength} scope="col">
              <span className="unseen">Strength </span>
              {signed(strength)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody ref={body}>
        {grid.layers.map((layer, row) => (
          <tr key={layer}>
            <th scope="row">
              <span className="unseen">Layer </span>
              {layer}
            </th>
            {grid.strengths.map((strength, column) => (
              <HeatCell
                key={strength}
                cell={grid.at(layer, strength)}
                validation={validation}
                settings={settings}
                isActive={row === place.row && column === place.column}
                onActive={() => onPlace({ row, column })}
              />
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface HeatCellProps {
  readonly cell: Cell | undefined;
  readonly validation: Validation;
  readonly settings: MapSettings;
  readonly isActive: boolean;
  readonly onActive: () => void;
}

function HeatCell({ cell, validation, settings, isActive, onActive }: HeatCellProps) {
  const common = {
    role: 'gridcell',
    tabIndex: isActive ? 0 : -1,
    onFocus: onActive,
    onPointerEnter: onActive,
  } as const;
  if (cell === undefined)
    return (
      <td {...common} className={isActive ? 'gap active' : 'gap'}>
        <span className="unseen">not measured</span>
      </td>
    );
  const { tone, depth } = toneOf(cell, validation, settings.measure);
  const isChosen = settings.direction === 'vector' && isThe(validation.chosen, cell);
  const broken = isBroken(cell, validation);
  const names = [
    tone,
    ...(isChosen ? ['best'] : []),
    ...(broken ? ['broken'] : []),
    ...(isActive ? ['active'] : []),
  ];
  return (
    <td {...common} className={names.join(' ')} style={{ '--depth': depth.toFixed(2) } as CSSProperties}>
      <span className="value">{whole(cell[settings.measure])}</span>
      <span className="unseen">
        {isChosen && ', chosen'}
        {broken && `, coherence below ${validation.coherence_floor}`}
      </span>
    </td>
  );
}

function isThe(chosen: Validation['chosen'], { layer, strength }: Cell): boolean {
  return chosen?.layer === layer && chosen.strength === strength;
}

/** The chosen cell, or where there is none the first. */
function firstPlace({ layers, strengths }: Grid, { chosen }: Validation): Place {
  const row = chosen === null ? -1 : layers.indexOf(chosen.layer);
  const column = chosen === null ? -1 : strengths.indexOf(chosen.strength);
  return { row: Math.max(0, row), column: Math.max(0, column) };
}

/** Where a key leads; null for one that leads nowhere. */
function moved({ row, column }: Place, { key, ctrlKey }: KeyboardEvent, grid: Grid): Place | null {
  const [bottom, right] = [grid.layers.length - 1, grid.strengths.length - 1];
  switch (key) {
    case 'ArrowUp':
      return { row: Math.max(0, row - 1), column };
    case 'ArrowDown':
      return { row: Math.min(bottom, row + 1), column };
    case 'ArrowLeft':
      return { row, column: Math.max(0, column - 1) };
    case 'ArrowRight':
      return { row, column: Math.min(right, column + 1) };
    case 'Home':
      return { row: ctrlKey ? 0 : row, column: 0 };
    case 'End':
      return { row: ctrlKey ? bottom : row, column: right };
    default:
      return null;
  }
}

function signed(value: number): string {
  return `${value < 0 ? '−' : value > 0 ? '+' : ''}${Math.abs(value)}`;
}

function whole(value: number | null): string {
  return value === null ? '–' : `${Math.round(value)}`;
}

function sentenceOf(cell: Cell): string {
  const { layer, strength, coef, score, lower, upper, coherence, rollouts, unscored } = cell;
  const interval = `(${number(lower)} to ${number(upper)})`;
  const coherences = `(${number(cell.coherence_lower)} to ${number(cell.coherence_upper)})`;
  const of = unscored === 0 ? `${rollouts} texts` : `${rollouts} texts, ${unscored} without a score`;
  return `Layer ${layer}, strength ${signed(strength)} (coefficient ${number(coef)}): score ${number(score)} ${interval}, coherence ${number(coherence)} ${coherences}, ${of}.`;
}

/** The playground with the vector added as it was in a cell. */
function playgroundOf(name: string, { positions }: Validation, { layer, coef }: Cell): string {
  const steer = `${name}:${Number(coef.toPrecision(4))}`;
  return `/app/playground#${new URLSearchParams({ positions, layer: String(layer), steer }).toString()}`;
}
