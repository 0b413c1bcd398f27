import { useState } from 'react';
import type { RunRequest } from '../../../src/server/client.ts';
import { Choose, Quick, Text } from './fields.tsx';
import type { KindProps } from './run-form.tsx';

/** In the list of traits: one that is described in words. No shipped trait has such a name. */
const described = '';
const vectorName = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const traitName = /^[a-z][a-z-]{0,39}$/;

/** What an extraction is given. */
export function ExtractFields({ options, children }: KindProps) {
  const { models, judges, vectors } = options;
  const [modelId, setModel] = useState(models[0]!.id);
  const { traits } = models.find(({ id }) => id === modelId) ?? models[0]!;
  const [chosen, setTrait] = useState(traits[0] ?? described);
  const trait = chosen === described || traits.includes(chosen) ? chosen : (traits[0] ?? described);
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const writers = judges.filter((one) => one !== 'lexical');
  const usable = trait === described ? writers : judges;
  const [asked, setJudge] = useState(judges[0] ?? 'lexical');
  const judge = usable.includes(asked) ? asked : usable[0];
  const [quick, setQuick] = useState(true);
  const isNew = trait === described;
  const [given, setSaveAs] = useState<string | null>(null);
  const saveAs = given ?? freeName(isNew ? name : trait, vectors);
  const fits = (!isNew || isTrait(name, description)) && judge !== undefined && isFree(saveAs, vectors);
  const request: RunRequest = {
    kind: 'extract',
    model: modelId,
    trait: isNew ? { name, description } : trait,
    quick,
    ...(judge !== undefined && judge !== 'lexical' && { judge }),
    ...(saveAs !== '' && { save_as: saveAs }),
  };
  return (
    <>
      <Choose label="Model" value={modelId} values={models.map(({ id }) => id)} onChange={setModel} />
      <Choose
        label="Trait"
        value={trait}
        values={[...traits, described]}
        names={{ [described]: 'a new one, described in words' }}
        onChange={setTrait}
      />
      {isNew && (
        <NewTrait name={name} description={description} onName={setName} onDescription={setDescription} />
      )}
      {usable.length > 1 && <Choose label="Judge" value={judge!} values={usable} onChange={setJudge} />}
      {isNew && writers.length === 0 && <NoWriter />}
      <Quick
        checked={quick}
        hint="Eight questions, one reply each: to see that it works. Otherwise all of the method, which takes hours on a large model."
        onChange={setQuick}
      />
      <Text
        label="Name among the vectors"
        value={saveAs}
        hint={
          vectors.includes(saveAs)
            ? 'There is a vector of that name already.'
            : 'Under which it can be steered by when it is done; empty keeps it in the run alone.'
        }
        pattern={vectorName.source}
        onChange={setSaveAs}
      />
      {children(fits ? request : null)}
    </>
  );
}

function isTrait(name: string, description: string): boolean {
  return traitName.test(name) && description.trim() !== '';
}

function isFree(name: string, taken: readonly string[]): boolean {
  return name === '' || (vectorName.test(name) && !taken.includes(name));
}

interface NewTraitProps {
  readonly name: string;
  readonly description: string;
  readonly onName: (name: string) => void;
  readonly onDescription: (description: string) => void;
}

/** A trait that is only described. */
function NewTrait({ name, description, onName, onDescription }: NewTraitProps) {
  return (
    <>
      <Text
        label="Name of the trait"
        value={name}
        hint="An adjective, such as melancholic."
        pattern={traitName.source}
        onChange={onName}
      />
      <Text
        label="What is meant by it"
        value={description}
        hint="A sentence or two. A language model writes instructions and questions from it."
        long
        onChange={onDescription}
      />
    </>
  );
}

function NoWriter() {
  return (
    <p className="error">
      This needs a language model that writes the questions: start the server with --run-judge, such as
      --run-judge openai:MODEL.
    </p>
  );
}

/** A name that no vector has yet. */
function freeName(wanted: string, taken: readonly string[]): string {
  if (wanted === '' || !taken.includes(wanted)) return wanted;
  for (let i = 2; ; i++) if (!taken.includes(`${wanted}-${i}`)) return `${wanted}-${i}`;
}
