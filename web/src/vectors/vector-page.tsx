import { useMutation, useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { vectorPath } from '../../../src/server/client-parts.ts';
import { ServerRefusal, type VectorFacts, type VectorLayers } from '../../../src/server/client.ts';
import { LineChart, type Series } from '../charts/line-chart.tsx';
import { queries, server, useSecrets } from '../connection.ts';
import { ActionTrouble } from '../parts/action-trouble.tsx';
import { Empty, Name } from '../parts/notes.tsx';
import { SureButton } from '../parts/sure-button.tsx';
import { Link, navigate } from '../router.tsx';
import { saveFile } from '../save-file.ts';
import { number } from '../text.ts';
import { ValidationMap } from './validation-map.tsx';

/** One vector: what is known of it, and how long it is at every layer. */
export function VectorPage({ name }: { readonly name: string }) {
  const found = useQuery({
    queryKey: ['vector-layers', name],
    queryFn: async () => {
      const about = (await server().vectors()).find((one) => one.name === name);
      return { about, layers: await server().vectorLayers(name) };
    },
  });
  if (found.error instanceof ServerRefusal && found.error.code === 'unknown_vector')
    return <NoSuchVector name={name} />;
  return (
    <div className="page vector-page">
      <p className="small">
        <Link href="/app/vectors">All vectors</Link>
      </p>
      <header className="page-head">
        <h1>
          <Name>{name}</Name>
        </h1>
        {found.data !== undefined && <Actions name={name} deletable={found.data.layers.deletable} />}
      </header>
      {found.error !== null && <ActionTrouble error={found.error} onRetry={() => void found.refetch()} />}
      {found.data === undefined && found.error === null && (
        <p className="soft" role="status">
          Asking the server…
        </p>
      )}
      {found.data?.about !== undefined && (
        <>
          <Norms layers={found.data.layers} recommended={found.data.about.recommended_layer} />
          <ValidationMap name={name} isRun={!found.data.layers.deletable} />
          <Facts about={found.data.about} layers={found.data.layers} />
        </>
      )}
    </div>
  );
}

function NoSuchVector({ name }: { readonly name: string }) {
  return (
    <div className="page">
      <h1 className="unseen">Vectors</h1>
      <Empty title="There is no such vector">
        <p>
          The server’s folder has none of the name <Name>{name}</Name>.{' '}
          <Link href="/app/vectors">All vectors</Link>
        </p>
      </Empty>
    </div>
  );
}

interface NormsProps {
  readonly layers: VectorLayers;
  readonly recommended: number | null;
}

function Norms({ layers: { norms, residual_norms: residual }, recommended }: NormsProps) {
  const [cursor, setCursor] = useState<number | null>(null);
  const charts = useMemo(() => {
    const points = (values: readonly number[]) => values.map((y, x) => [x, y] as const);
    const own: Series[] = [{ name: 'vector', tone: 'tone-0', points: points(norms) }];
    const stream: Series[] =
      residual === null ? [] : [{ name: 'activations', tone: 'tone-1', points: points(residual) }];
    return { own, stream };
  }, [norms, residual]);
  const common = {
    unit: 'layer',
    cursor,
    onCursor: setCursor,
    includeY: zero,
    marks: recommended === null ? [] : [{ x: recommended, name: 'recommended' }],
    height: 190,
  };
  return (
    <div className="norm-charts">
      <section className="card">
        <h2>Norm by layer</h2>
        <LineChart label="Norm of the vector by layer" series={charts.own} {...common} />
      </section>
      <section className="card">
        <h2>Residual norm by layer</h2>
        {residual === null ? (
          <p className="soft">Not known: the file does not say in which activations the vector was found.</p>
        ) : (
          <LineChart label="Mean norm of the activations by layer" series={charts.stream} {...common} />
        )}
      </section>
    </div>
  );
}
const zero = [0] as const;

function Facts({ about, layers }: { readonly about: VectorFacts; readonly layers: VectorLayers }) {
  const { pairs_kept: kept, pairs_total: total } = layers;
  const unusable = about.layers - layers.usable_layers.length;
  const facts: readonly (readonly [string, string | null])[] = [
    ['Trait', about.trait],
    ['Model', about.model],
    ['Revision', layers.model_revision],
    [
      'Layers',
      unusable === 0 ? `${about.layers}` : `${about.layers}, ${unusable} of them without a direction`,
    ],
    ['Width', `${about.width}`],
    ['Recommended layer', about.recommended_layer === null ? null : `${about.recommended_layer}`],
    ['Coefficient', about.recommended_strength === null ? null : number(about.recommended_strength)],
    ['Pooling', about.pooling],
    ['Poolings in the file', layers.poolings.length > 1 ? layers.poolings.join(', ') : null],
    ['Method', layers.method],
    ['Pairs', kept === null ? null : total === null ? `${kept} kept` : `${kept} kept of ${total}`],
    ['Threshold', layers.threshold === null ? null : number(layers.threshold)],
    ['Source', layers.source],
  ];
  return (
    <section className="card">
      <h2>Facts</h2>
      <dl className="vector-facts">
        {facts.map(
          ([label, value]) =>
            value !== null && (
              <div key={label}>
                <dt>{label}</dt>
                <dd>
                  <Name>{value}</Name>
                </dd>
              </div>
            ),
        )}
      </dl>
    </section>
  );
}

/** What can be done with a vector. */
function Actions({ name, deletable }: { readonly name: string; readonly deletable: boolean }) {
  const { apiKey } = useSecrets();
  const act = useMutation({
    mutationFn: async (what: 'download' | 'delete') => {
      if (what === 'download') saveFile(await server().vectorFile(name), `${name}.safetensors`);
      else await server().deleteVector(name);
    },
    onSuccess: (_, what) => {
      if (what === 'download') return;
      navigate('/app/vectors', { replace: true });
      void queries.invalidateQueries({ queryKey: ['vectors'] });
      queries.removeQueries({ queryKey: ['vector-layers', name] });
    },
  });
  return (
    <>
      {apiKey === '' ? (
        <a className="button" href={vectorPath(name, '/file')} download>
          Download
        </a>
      ) : (
        <button type="button" disabled={act.isPending} onClick={() => act.mutate('download')}>
          Download
        </button>
      )}
      {deletable && (
        <SureButton
          name="Delete"
          question="Delete for good?"
          disabled={act.isPending}
          onSure={() => act.mutate('delete')}
        />
      )}
      {act.error !== null && (
        <div className="wide">
          <ActionTrouble
            error={act.error}
            onRetry={() => act.variables !== undefined && act.mutate(act.variables)}
          />
        </div>
      )}
    </>
  );
}
