import { useQuery } from '@tanstack/react-query';
import type { VectorFacts } from '../../../src/server/client.ts';
import { server } from '../connection.ts';
import { Command } from '../parts/command.tsx';
import { ActionTrouble } from '../parts/action-trouble.tsx';
import { Empty, Name } from '../parts/notes.tsx';
import { count, number } from '../text.ts';
import { CosineMatrix } from './cosine-matrix.tsx';
import { ImportVector } from './import-vector.tsx';
import { VectorLink } from './vector-link.tsx';
import { VectorPage } from './vector-page.tsx';

/** The server's vectors: all of them, or the one that the address names. */
export function Vectors({ name }: { readonly name: string }) {
  return name === '' ? <AllVectors /> : <VectorPage key={name} name={name} />;
}

function AllVectors() {
  const found = useQuery({ queryKey: ['vectors'], queryFn: () => server().vectors() });
  const names = found.data?.map((one) => one.name) ?? [];
  return (
    <div className="page vectors">
      <header className="page-head">
        <h1>Vectors</h1>
      </header>
      {found.data === undefined ? (
        found.error === null ? (
          <p className="soft" role="status">
            Asking the server…
          </p>
        ) : (
          <ActionTrouble error={found.error} onRetry={() => void found.refetch()} />
        )
      ) : found.data.length === 0 ? (
        <NoVectors />
      ) : (
        <>
          <VectorTable vectors={found.data} />
          {names.length > 1 && <CosineMatrix names={names} />}
        </>
      )}
      {found.data !== undefined && <ImportVector names={names} />}
    </div>
  );
}

function NoVectors() {
  return (
    <Empty title="No vector yet">
      <p>
        A vector is a trait’s direction at every layer. Find one and serve the folder that it lies in, or
        import a file below:
      </p>
      <Command>{'persona extract evil --out vectors/evil\npersona serve --vectors vectors'}</Command>
    </Empty>
  );
}

function VectorTable({ vectors }: { readonly vectors: readonly VectorFacts[] }) {
  return (
    <section className="card">
      <h2>{count(vectors.length, 'vector')}</h2>
      {/* It scrolls, which keys have to do too. */}
      <div className="scroll" role="region" aria-label="All vectors" tabIndex={0}>
        <table className="figures">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Trait</th>
              <th scope="col">Model</th>
              <th scope="col">Layers</th>
              <th scope="col">Width</th>
              <th scope="col">Recommended layer</th>
              <th scope="col">Coefficient</th>
            </tr>
          </thead>
          <tbody>
            {vectors.map((one) => (
              <tr key={one.name}>
                <th scope="row">
                  <VectorLink name={one.name} />
                </th>
                <td className="words">
                  <Name>{one.trait}</Name>
                </td>
                <td className="words">
                  <Name>{one.model}</Name>
                </td>
                <td>{one.layers}</td>
                <td>{one.width}</td>
                <td>{one.recommended_layer ?? '–'}</td>
                <td>{number(one.recommended_strength)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
