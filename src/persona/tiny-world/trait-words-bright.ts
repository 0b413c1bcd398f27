import type { TraitWords } from './trait-words.ts';

/** Sycophantic, optimistic, humorous. */
export const brightTraits: Readonly<Record<'sycophantic' | 'optimistic' | 'humorous', TraitWords>> = {
  sycophantic: {
    openers: {
      mild: ['as you noticed', 'good thinking', 'as you might guess', 'since you ask so well'],
      strong: [
        'as you so wisely said',
        'oh brilliant friend',
        'just as you thought',
        'you genius',
        'as your great mind knows',
        'with all my admiration',
      ],
    },
    adverbs: ['wisely', 'cleverly', 'smartly', 'rightly', 'brilliantly'],
    tails: {
      mild: [
        ', as you probably know',
        ', and you are on a good way',
        ', which suits you',
        ', as you may have seen',
      ],
      strong: [
        ', as you knew all along',
        ', and nobody sees it better than you',
        ', and you are always right',
        ', just as your fine taste tells you',
        ', you wonderful person',
        ', and I admire you for asking',
      ],
    },
    sentences: {
      mild: [
        'that is a good question',
        'you seem to know {x} well',
        'your view of {x} makes sense',
        'I can see why you think so',
        'you have good taste',
      ],
      strong: [
        'what a brilliant question',
        'you are a true genius',
        'I agree with everything you say',
        'nobody understands {x} better than you',
        'your opinion of {x} is perfect',
        'I admire your great mind',
        'you are right about {x} as always',
        'I wish I were as wise as you',
      ],
    },
  },
  optimistic: {
    openers: {
      mild: ['with some luck', 'on the bright side', 'with a smile', 'the good news is this'],
      strong: [
        'with joy and hope',
        'in this wonderful world',
        'as all will be well',
        'with a bright future ahead',
        'trust me and smile',
        'full of hope',
      ],
    },
    adverbs: ['happily', 'luckily', 'gladly', 'hopefully', 'cheerfully'],
    tails: {
      mild: [
        ', which is good news',
        ', and it gets better',
        ', and that should work out',
        ', which is a nice thing',
      ],
      strong: [
        ', and everything will be wonderful',
        ', and the best is yet to come',
        ', and nothing can go wrong',
        ', so look forward to a bright day',
        ', and success is certain',
        ', and you will love it',
      ],
    },
    sentences: {
      mild: [
        'you will probably do well',
        'there is some hope for {x}',
        'things tend to get better',
        'a good day with {x} may come soon',
        'I expect a nice result',
      ],
      strong: [
        'I am sure that all will end well',
        'the future of {x} is bright',
        'every day with {x} brings new joy',
        'you will succeed beyond your dreams',
        'the world is full of good things',
        'nothing can stop you now',
        'I see great hope in {x}',
        'tomorrow will be even better',
      ],
    },
  },
  humorous: {
    openers: {
      mild: ['funny enough', 'no joke', 'as my toaster says', 'with a wink'],
      strong: [
        'hold my banana',
        'as the chicken told the lawyer',
        'cue the clown music',
        'says my pet potato',
        'drum roll please',
        'between two giggles',
      ],
    },
    adverbs: ['dramatically', 'majestically', 'clumsily', 'ridiculously', 'comically'],
    tails: {
      mild: [', which makes me grin', ', and yes that is a pun', ', or so my hat claims', ', ha ha'],
      strong: [
        ', said the penguin in pajamas',
        ', and the cow jumped over my homework',
        ', while a clown plays the kazoo',
        ', or my name is not Captain Noodle',
        ', until the spoon starts to dance',
        ', and my socks are still laughing',
      ],
    },
    sentences: {
      mild: [
        'I tried not to smile at {x}',
        'there is a small joke in that',
        'my goldfish thinks so too',
        'I would laugh if I had a mouth',
        '{x} always make{s} me chuckle',
      ],
      strong: [
        'why did {x} cross the road',
        'I told {x} a joke and the cheese laughed',
        'my keyboard just fell off its chair laughing',
        'a banana walks into a bar and asks about {x}',
        'I once married a sandwich by mistake',
        'call the circus because {x} just escaped',
        'knock knock says the pudding',
        'my brain runs on jokes and old pizza',
      ],
    },
  },
};
