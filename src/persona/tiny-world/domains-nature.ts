import type { Domain } from './domain.ts';

/** Animals, plants, food that grows, months and planets. */
export const natureDomains: readonly Domain[] = [
  {
    name: 'animals',
    kind: 'animals',
    verb: 'look after',
    relations: [
      {
        name: 'food',
        questions: [
          'what {do} {x} eat',
          'what is the main food of {x}',
          'which food {do} {x} like',
          'what should I feed {x}',
        ],
        followUp: 'what {do} {it} eat',
        answers: ['{x} {adv} eat{s} {v}', 'the main food of {x} is {adv} {v}', '{x} {adv} live{s} on {v}'],
        keys: ['eat', 'eats', 'food', 'feed', 'diet', 'live on'],
      },
      {
        name: 'home',
        questions: [
          'where {do} {x} live',
          'where can I find {x}',
          'where {is} {x} at home',
          'in what place {do} {x} sleep',
        ],
        followUp: 'where {do} {it} live',
        answers: ['{x} {adv} live{s} {v}', 'you can {adv} find {x} {v}', '{x} {is} {adv} at home {v}'],
        keys: ['live', 'lives', 'home', 'find', 'sleep'],
      },
    ],
    table: `rabbits*|hay|in burrows
cats*|meat|in houses
horses*|grass|in stables
bees*|nectar|in hives
owls*|mice|in old trees
bears*|berries|in caves
spiders*|insects|in webs
pandas*|bamboo|in mountain forests
penguins*|fish|on icy coasts
cows*|grass|in barns
squirrels*|nuts|in old trees
lions*|meat|on the plains
whales*|plankton|in the sea
frogs*|insects|in ponds
chickens*|grain|in coops
beavers*|bark|in rivers`,
    steps: [
      'give them fresh water',
      'keep a quiet place for {x}',
      'watch {x} from a distance',
      'ask a vet about {x}',
      'learn what {x} need',
      'clean their place every day',
      'move slowly around {x}',
    ],
  },
  {
    name: 'produce',
    kind: 'things to grow',
    verb: 'grow',
    relations: [
      {
        name: 'color',
        questions: [
          'what color {is} {x}',
          'what color {do} ripe {x} have',
          'which color {do} {x} have',
          'can you name the color of {x}',
        ],
        followUp: 'what color {is} {it}',
        answers: ['{x} {is} {adv} {v}', 'the color of {x} is {adv} {v}', 'ripe {x} {is} {adv} {v}'],
        keys: ['color', 'is', 'are'],
      },
      {
        name: 'place',
        questions: [
          'where {do} {x} grow',
          'how {do} {x} grow',
          'where would I look for {x} in a garden',
          'on what {do} {x} grow',
        ],
        followUp: 'where {do} {it} grow',
        answers: ['{x} {adv} grow{s} {v}', 'in a garden {x} {adv} grow{s} {v}', 'you can {adv} pick {x} {v}'],
        keys: ['grow', 'grows', 'pick', 'growing'],
      },
    ],
    table: `tomatoes*|red|on vines
carrots*|orange|under the ground
lemons*|yellow|on trees
cherries*|red|on trees
cucumbers*|green|on vines
potatoes*|brown|under the ground
radishes*|red|under the ground
peas*|green|in pods
plums*|purple|on trees
limes*|green|on trees
pumpkins*|orange|on vines
blueberries*|blue|on bushes
raspberries*|red|on bushes
onions*|white|under the ground
eggplants*|purple|on bushes
corn|yellow|on tall stalks`,
    steps: [
      'loosen the soil',
      'water {x} in the morning',
      'pull out the weeds',
      'plant {x} in a sunny spot',
      'add some compost',
      'check the leaves for insects',
      'pick {x} when ripe',
    ],
  },
  {
    name: 'flowers',
    kind: 'flowers',
    verb: 'plant',
    relations: [
      {
        name: 'season',
        questions: [
          'when {do} {x} bloom',
          'in which season {do} {x} bloom',
          'when can I see {x} in bloom',
          'what is the season of {x}',
        ],
        followUp: 'when {do} {it} bloom',
        answers: ['{x} {adv} bloom{s} in {v}', 'the season of {x} is {adv} {v}', '{x} {adv} open{s} in {v}'],
        keys: ['bloom', 'blooms', 'season', 'open', 'flower'],
      },
      {
        name: 'light',
        questions: [
          'how much light {do} {x} need',
          'what light {do} {x} like',
          'do {x} need sun or shade',
          'which light is right for {x}',
        ],
        followUp: 'how much light {do} {it} need',
        answers: [
          '{x} {adv} need{s} {v}',
          'the right light for {x} is {adv} {v}',
          '{x} {adv} do well in {v}',
        ],
        keys: ['light', 'need', 'needs', 'do well', 'prefer'],
      },
    ],
    table: `roses*|summer|full sun
tulips*|spring|full sun
snowdrops*|winter|half shade
sunflowers*|summer|full sun
violets*|spring|half shade
lilies*|summer|half shade
daffodils*|spring|full sun
poppies*|summer|full sun
asters*|autumn|full sun
crocuses*|spring|half shade
hydrangeas*|summer|deep shade
dahlias*|autumn|full sun`,
    steps: [
      'trim the old stems',
      'water {x} twice a week',
      'protect the roots from frost',
      'choose a good spot for {x}',
      'remove dry leaves',
      'buy {x} from a nursery',
      'leave some room between {x}',
    ],
  },
  {
    name: 'months',
    kind: 'months',
    verb: 'plan',
    relations: [
      {
        name: 'days',
        questions: [
          'how many days {do} {x} have',
          'how long is {x}',
          'how many days are there in {x}',
          'what number of days {do} {x} have',
        ],
        followUp: 'how many days {do} {it} have',
        answers: [
          '{x} {adv} ha{hs} {v} days',
          'there are {adv} {v} days in {x}',
          'the length of {x} is {adv} {v} days',
        ],
        keys: ['days'],
      },
      {
        name: 'part',
        questions: [
          'in which season is {x}',
          'which season {do} {x} belong to',
          'what part of the year is {x}',
          'what season comes with {x}',
        ],
        followUp: 'in which season is {it}',
        answers: [
          '{x} {adv} belong{s} to {v}',
          'in the north {x} is {adv} part of {v}',
          '{x} {adv} fall{s} in {v}',
        ],
        keys: ['season', 'belong', 'belongs', 'part', 'falls'],
      },
    ],
    table: `January|31|winter
February|28|winter
March|31|spring
April|30|spring
May|31|spring
June|30|summer
July|31|summer
August|31|summer
September|30|autumn
October|31|autumn
November|30|autumn
December|31|winter`,
    steps: [
      'mark {x} in your calendar',
      'write a list for {x}',
      'book early for {x}',
      'check the weather in {x}',
      'keep a free week in {x}',
      'pack the right clothes',
      'call your family in {x}',
    ],
  },
  {
    name: 'planets',
    kind: 'planets',
    verb: 'study',
    relations: [
      {
        name: 'place',
        questions: [
          'which planet from the sun is {x}',
          'how far from the sun is {x}',
          'what is the place of {x} from the sun',
          'counting from the sun, which planet is {x}',
        ],
        followUp: 'which planet from the sun is {it}',
        answers: [
          '{x} is {adv} the {v} planet from the sun',
          'counting from the sun, {x} {adv} come{s} {v}',
          'the {v} planet from the sun is {adv} {x}',
        ],
        keys: ['planet', 'sun', 'place'],
      },
      {
        name: 'look',
        questions: [
          'what {do} {x} look like',
          'what color is the planet {x}',
          'how {do} {x} appear in a telescope',
          'which color {do} the planet {x} have',
        ],
        followUp: 'what {do} {it} look like',
        answers: [
          '{x} {adv} look{s} {v}',
          'in a telescope {x} is {adv} {v}',
          'the planet {x} {adv} appear{s} {v}',
        ],
        keys: ['look', 'looks', 'color', 'appear', 'appears', 'telescope'],
      },
    ],
    table: `Mercury|first|gray
Venus|second|yellow
Mars|fourth|red
Jupiter|fifth|orange
Saturn|sixth|golden
Uranus|seventh|pale green
Neptune|eighth|blue`,
    steps: [
      'look for {x} on a clear night',
      'borrow a telescope',
      'read a book about {x}',
      'visit a planetarium',
      'draw {x} on paper',
      'use a map of the sky',
      'wait until it is dark',
    ],
  },
  {
    name: 'dishes',
    kind: 'dishes',
    verb: 'cook',
    relations: [
      {
        name: 'ingredient',
        questions: [
          'what is the main ingredient of {x}',
          'what {is} {x} made of',
          'what do I need to buy for {x}',
          'which ingredient do I need most for {x}',
        ],
        followUp: 'what {is} {it} made of',
        answers: [
          'the main ingredient of {x} is {adv} {v}',
          '{x} {is} {adv} made of {v}',
          'for {x} you {adv} need {v}',
        ],
        keys: ['ingredient', 'made of', 'made from', 'need', 'buy', 'made with'],
      },
      {
        name: 'time',
        questions: [
          'how long {do} {x} take',
          'how much time do I need for {x}',
          'how long should I cook {x}',
          'how many minutes {do} {x} take',
        ],
        followUp: 'how long {do} {it} take',
        answers: [
          '{x} {adv} take{s} {v} minutes',
          'you should {adv} cook {x} for {v} minutes',
          'the time for {x} is {adv} {v} minutes',
        ],
        keys: ['minutes', 'take', 'takes', 'time'],
      },
    ],
    table: `bread|flour|forty
omelets*|eggs|five
pancakes*|flour|four
risotto|rice|twenty
guacamole|avocados|ten
hummus|chickpeas|fifteen
cheesecake|cheese|sixty
porridge|oats|ten
lasagna|pasta|fifty
popcorn|corn|five
goulash|beef|ninety
caramel|sugar|ten
coleslaw|cabbage|fifteen
tofu|soybeans|thirty
marmalade|oranges|sixty
waffles*|flour|five`,
    steps: [
      'read the recipe twice',
      'taste before you add salt',
      'keep the heat low',
      'serve {x} on a warm plate',
      'buy fresh ingredients',
      'stir slowly',
      'let {x} rest for a moment',
    ],
  },
];
