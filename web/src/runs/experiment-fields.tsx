import { useState } from 'react';
import type { RunOptions, RunRequest } from '../../../src/server/client.ts';
import { Choose, Quick } from './fields.tsx';
import type { KindProps } from './run-form.tsx';

type Name = RunOptions['experiments'][number];

const about: Readonly<Record<Name, string>> = {
  monitoring: 'Does the projection before a reply foretell the trait in it?',
  steering: 'What a vector does where the trait is and where it is not, by dose, by cap and turn by turn.',
  finetuning: 'Models trained on every data set: their traits, and what their shifts tell of them.',
  screening: 'Training on what screening ranks high, low and at random.',
  reproduce: 'All experiments of the paper one after the other, with one page.',
};
/** Those of one trait and its vector. */
const ofTrait: readonly Name[] = ['monitoring', 'steering'];

/** What an experiment is given. */
export function ExperimentFields({ options, children }: KindProps) {
  const { models, experiments, vectors, judges } = options;
  const [name, setName] = useState<Name>(experiments[0]!);
  const [modelId, setModel] = useState(models[0]!.id);
  const { traits } = models.find(({ id }) => id === modelId) ?? models[0]!;
  const [chosen, setTrait] = useState(traits.find((one) => vectors.includes(one)) ?? traits[0] ?? '');
  const trait = traits.includes(chosen) ? chosen : (traits[0] ?? '');
  const [asked, setVector] = useState('');
  const vector = [asked, trait].find((one) => vectors.includes(one)) ?? vectors[0] ?? '';
  const [judge, setJudge] = useState('lexical');
  const [quick, setQuick] = useState(true);
  const isOfTrait = ofTrait.includes(name);
  const request: RunRequest = {
    kind: 'experiment',
    name,
    model: modelId,
    quick,
    ...(isOfTrait && { trait, vector }),
    ...(judge !== 'lexical' && { judge }),
  };
  return (
    <>
      <div>
        <Choose
          label="Experiment"
          value={name}
          values={experiments}
          onChange={(value) => setName(experiments.find((one) => one === value) ?? name)}
        />
        <p className="soft small">{about[name]}</p>
      </div>
      <Choose label="Model" value={modelId} values={models.map(({ id }) => id)} onChange={setModel} />
      {isOfTrait && (
        <>
          <Choose label="Trait" value={trait} values={traits} onChange={setTrait} />
          {vectors.length > 0 ? (
            <Choose label="Vector" value={vector} values={vectors} onChange={setVector} />
          ) : (
            <p className="error">It needs a vector of the trait: run an extraction first.</p>
          )}
        </>
      )}
      {judges.length > 1 && <Choose label="Judge" value={judge} values={judges} onChange={setJudge} />}
      <Quick
        checked={quick}
        hint="Few replies and small data: to see that it works, too little to say anything."
        onChange={setQuick}
      />
      {children(isOfTrait && (trait === '' || vector === '') ? null : request)}
    </>
  );
}
