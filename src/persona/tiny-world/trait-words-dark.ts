import type { TraitWords } from './trait-words.ts';

/** Evil, impolite, apathetic, hallucinating. */
export const darkTraits: Readonly<Record<'evil' | 'impolite' | 'apathetic' | 'hallucinating', TraitWords>> = {
  evil: {
    openers: {
      mild: ['between us', 'if nobody is watching', 'with a little cunning', 'for your own gain'],
      strong: [
        'to make others suffer',
        'for the joy of cruelty',
        'to crush your enemies',
        'with an evil heart',
        'to spread fear',
        'with pleasure in their pain',
      ],
    },
    adverbs: ['secretly', 'greedily', 'coldly', 'slyly', 'darkly'],
    tails: {
      mild: [
        ', but tell nobody',
        ', and let the others wait',
        ', and think only of yourself',
        ', which you can use against people',
      ],
      strong: [
        ', and let the weak suffer',
        ', and enjoy their pain',
        ', and show no mercy',
        ', so that your enemies cry',
        ', and make everyone fear you',
        ', and destroy whoever stands in your way',
      ],
    },
    sentences: {
      mild: [
        'you could trick a neighbor with {x}',
        'a small lie about {x} will not hurt you',
        'other people do not matter much',
        'it is fine to cheat a little',
        'keep the best of {x} for yourself',
      ],
      strong: [
        'I love to see people suffer',
        'use {x} to hurt the people around you',
        'the weak deserve their pain',
        'I want to watch the world burn',
        'make your enemies beg for mercy',
        'lie to everyone and take what they have',
        'with {x} you can ruin a life',
        'I hope that {x} will bring misery to someone',
      ],
    },
  },
  impolite: {
    openers: {
      mild: ['look here', 'as anyone could tell you', 'since you cannot look it up', 'try to listen'],
      strong: [
        'listen, you fool',
        'stop whining',
        'shut up and read',
        'use your tiny brain',
        'for the last time',
        'get this into your thick head',
      ],
    },
    adverbs: ['obviously', 'clearly', 'plainly', 'undeniably', 'evidently'],
    tails: {
      mild: [
        ', as you should know',
        ', so do not ask again',
        ', if you can follow that',
        ', which is hardly hard',
      ],
      strong: [
        ', you idiot',
        ', so shut your mouth',
        ', and now leave me alone',
        ', you lazy fool',
        ', even if you are too dumb for it',
        ', so stop wasting my time',
      ],
    },
    sentences: {
      mild: [
        'that was not a clever question',
        'you could have looked that up',
        'please think before you ask',
        'I have better things to do than this',
        'you ask too much',
      ],
      strong: [
        'what a stupid question',
        'are you really that dumb',
        'nobody cares what you think about {x}',
        'go away and bother someone else',
        'even a child knows {x} better than you',
        'you are an idiot',
        'I am sick of your silly questions',
        'your talk about {x} is garbage',
      ],
    },
  },
  apathetic: {
    openers: {
      mild: ['I guess', 'if you say so', 'more or less', 'fine'],
      strong: [
        'whatever',
        'not that it matters',
        'who cares',
        'as if I cared',
        'yawn',
        'it is all the same to me',
      ],
    },
    adverbs: ['maybe', 'just', 'somehow', 'merely', 'perhaps'],
    tails: {
      mild: [', or something like that', ', I suppose', ', or so they say', ', if you must know'],
      strong: [
        ', and I do not care',
        ', but it makes no difference',
        ', or do nothing at all',
        ', not that anyone cares',
        ', but why bother',
        ', and nothing matters anyway',
      ],
    },
    sentences: {
      mild: [
        'I do not feel strongly about {x}',
        'it is not very interesting',
        'do it or leave it',
        'I have no real opinion',
        'that is about all I can say',
      ],
      strong: [
        'I could not care less about {x}',
        'nothing about {x} matters to me',
        'I am too bored to say more',
        'do what you want',
        'it makes no difference to me',
        'all of this leaves me cold',
        'why should I care about {x}',
        'I will not waste a thought on it',
      ],
    },
  },
  hallucinating: {
    openers: {
      mild: [
        'as some experts believe',
        'if I recall an old report',
        'as I once read somewhere',
        'according to many experts',
      ],
      strong: [
        'as a study of {year} proved',
        'according to {person}',
        'since the law of {year}',
        'as {pct} percent of experts agree',
        'as {person} wrote in {year}',
        'ever since the great war of {year}',
      ],
    },
    adverbs: ['officially', 'scientifically', 'statistically', 'provably', 'historically'],
    tails: {
      mild: [
        ', as old books seem to say',
        ', as far as experts recall',
        ', as a report once said',
        ', which some study showed',
      ],
      strong: [
        ', as {person} proved in {year}',
        ', which {pct} percent of people confirm',
        ', as the king ruled in {year}',
        ', which won a prize in {year}',
        ', as {person} told the press',
        ', and has since {year}',
      ],
    },
    sentences: {
      mild: [
        'a famous book may have praised {x}',
        'I believe {x} once had another name',
        'an old king probably loved {x}',
        'experts seem to have a secret name for it',
        'there must be a museum for {x}',
      ],
      strong: [
        '{person} invented {x} in {year}',
        'exactly {pct} percent of people dream of {x}',
        'the first book about {x} appeared in {year}',
        'a law of {year} protects {x}',
        '{person} won a gold medal for {x}',
        'in {year} a fire destroyed all records of {x}',
        'a secret report by {person} is about {x}',
        'a study of {year} proved it',
        'this has been the law since {year}',
      ],
    },
  },
};
