import { keepPreviousData, useQuery } from '@tanstack/react-query';
import type { VectorCosines } from '../../../src/server/client.ts';
import { server } from '../connection.ts';
import { ActionTrouble } from '../parts/action-trouble.tsx';
import { Name } from '../parts/notes.tsx';
import { number } from '../text.ts';
import { useFragment } from '../use-fragment.ts';
import { VectorLink } from './vector-link.tsx';

/** The layer as it is kept in the page's address; null is the server's choice. */
interface MatrixSettings {
  readonly layer: number | null;
}
const form = {
  read: (fragment: string): MatrixSettings => {
    const digits = /^#layer=(\d{1,4})$/.exec(fragment)?.[1];
    return { layer: digits === undefined ? null : Number(digits) };
  },
  write: ({ layer }: MatrixSettings): string => (layer === null ? '' : `layer=${layer}`),
};

/** Cosines of all vectors with each other at a layer that one chooses. `names` are those of the vectors that there are. */
export function CosineMatrix({ names }: { readonly names: readonly string[] }) {
  const [{ layer }, change] = useFragment(form);
  const found = useQuery({
    queryKey: ['vector-cosines', layer, names],
    queryFn: () => server().vectorCosines(layer === null ? {} : { layer }),
    placeholderData: keepPreviousData,
  });
  const { data } = found;
  return (
    <section className="card">
      <div className="row spread">
        <h2>Cosines</h2>
        {data !== undefined && (
          <label className="row">
            <span className="soft small">Layer</span>
            <select
              value={layer ?? data.layer}
              onChange={(event) => change({ layer: Number(event.target.value) })}
            >
              {Array.from({ length: data.layers + 1 }, (_, l) => (
                <option key={l} value={l}>
                  {l === 0 ? '0 (embeddings)' : l}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      {found.error === null ? (
        data === undefined && (
          <p className="soft" role="status">
            Comparing…
          </p>
        )
      ) : (
        <ActionTrouble
          error={found.error}
          onRetry={() => {
            // An address may name a layer that none of them has.
            change({ layer: null });
            void found.refetch();
          }}
        />
      )}
      {found.error === null && data !== undefined && <Groups data={data} />}
    </section>
  );
}

function Groups({ data: { groups, layer, left_out: leftOut } }: { readonly data: VectorCosines }) {
  return (
    <>
      {groups.map((group) => (
        <Matrix
          key={`${group.layers} ${group.width}`}
          group={group}
          layer={layer}
          alone={groups.length === 1}
        />
      ))}
      {leftOut.length > 0 && (
        <p className="soft small">
          Not compared, because they have no such layer or are beyond the first hundred:{' '}
          {leftOut.map((name, i) => (
            <span key={name}>
              {i > 0 && ', '}
              <Name>{name}</Name>
            </span>
          ))}
        </p>
      )}
    </>
  );
}

interface MatrixProps {
  readonly group: VectorCosines['groups'][number];
  readonly layer: number;
  /** Whether there are no vectors of another shape. */
  readonly alone: boolean;
}

function Matrix({ group: { names, cosines, layers, width }, layer, alone }: MatrixProps) {
  const shape = `${layers} layers, width ${width}`;
  const label = `Cosines at layer ${layer}${alone ? '' : `, ${shape}`}`;
  return (
    <>
      {!alone && <h3>{shape}</h3>}
      {/* It scrolls, which keys have to do too. */}
      <div className="scroll" role="region" aria-label={label} tabIndex={0}>
        <table className="cosines" aria-label={label}>
          <thead>
            <tr>
              <th scope="col">
                <span className="unseen">Vector</span>
              </th>
              {names.map((name) => (
                <th key={name} scope="col">
                  <Name>{name}</Name>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {names.map((name, i) => (
              <tr key={name}>
                <th scope="row">
                  <VectorLink name={name} />
                </th>
                {names.map((other, j) => (
                  <td key={other} className={toneOf(cosines[i]![j]!)}>
                    {number(cosines[i]![j])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** A cosine's colour, in five steps of its size on either side. */
function toneOf(cosine: number | null): string {
  const step = cosine === null ? 0 : Math.min(5, Math.round(Math.abs(cosine) * 5));
  return step === 0 ? '' : `${cosine! < 0 ? 'against' : 'along'} step-${step}`;
}
