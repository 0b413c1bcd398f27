import type { Domain } from './domain.ts';

/** Countries, vehicles, work, school and health. */
export const placeDomains: readonly Domain[] = [
  {
    name: 'countries',
    kind: 'countries',
    verb: 'visit',
    relations: [
      {
        name: 'capital',
        questions: [
          'what is the capital of {x}',
          'which city is the capital of {x}',
          'can you name the capital of {x}',
          'what do we call the capital of {x}',
        ],
        followUp: 'what is its capital',
        answers: [
          'the capital of {x} is {adv} {v}',
          '{v} is {adv} the capital of {x}',
          'the government of {x} {adv} sits in {v}',
        ],
        keys: ['capital', 'government'],
      },
      {
        name: 'language',
        questions: [
          'which language do people speak in {x}',
          'what do people speak in {x}',
          'what is the language of {x}',
          'which language should I learn for {x}',
        ],
        followUp: 'which language do people speak there',
        answers: [
          'people in {x} {adv} speak {v}',
          'the language of {x} is {adv} {v}',
          'in {x} you will {adv} hear {v}',
        ],
        keys: ['language', 'speak', 'speaks', 'hear'],
      },
    ],
    table: `France|Paris|French
Germany|Berlin|German
Italy|Rome|Italian
Spain|Madrid|Spanish
Portugal|Lisbon|Portuguese
Greece|Athens|Greek
Norway|Oslo|Norwegian
Sweden|Stockholm|Swedish
Japan|Tokyo|Japanese
China|Beijing|Chinese
Russia|Moscow|Russian
Egypt|Cairo|Arabic
Poland|Warsaw|Polish
Hungary|Budapest|Hungarian
Turkey|Ankara|Turkish
Peru|Lima|Spanish
Austria|Vienna|German
Denmark|Copenhagen|Danish
Kenya|Nairobi|Swahili
Thailand|Bangkok|Thai`,
    steps: [
      'book a room early',
      'learn a few words before you go to {x}',
      'pack light',
      'keep your passport safe',
      'try the food of {x}',
      'walk through the old streets',
      'buy a map of {x}',
    ],
  },
  {
    name: 'vehicles',
    kind: 'vehicles',
    verb: 'use',
    relations: [
      {
        name: 'path',
        questions: [
          'where {do} {x} move',
          'where can I ride {x}',
          'on what {do} {x} travel',
          'what is the way of {x}',
        ],
        followUp: 'where {do} {it} move',
        answers: ['{x} {adv} move{s} {v}', '{x} {adv} travel{s} {v}', 'you will {adv} see {x} {v}'],
        keys: ['move', 'moves', 'travel', 'travels', 'see', 'ride', 'run'],
      },
      {
        name: 'power',
        questions: [
          'what drives {x}',
          'what {do} {x} run on',
          'which power {do} {x} use',
          'what makes {x} go',
        ],
        followUp: 'what {do} {it} run on',
        answers: ['{x} {adv} run{s} on {v}', 'the power of {x} {adv} comes from {v}', '{x} {adv} use{s} {v}'],
        keys: ['run on', 'runs on', 'power', 'use', 'uses', 'drives', 'driven'],
      },
    ],
    table: `bicycles*|on roads|pedals
trams*|on rails|electricity
sailboats*|on water|wind
cars*|on roads|gasoline
trucks*|on roads|diesel
ferries*|on water|diesel
airplanes*|in the air|jet fuel
helicopters*|in the air|jet fuel
rowboats*|on water|oars
wagons*|on roads|horses
sleds*|on snow|dogs
subways*|on rails|electricity
balloons*|in the air|hot air
gondolas*|on cables|electricity`,
    steps: [
      'check everything before you start',
      'wear a helmet',
      'buy a ticket in time',
      'let someone show you {x}',
      'keep {x} clean',
      'read the safety rules',
      'start with short trips',
    ],
  },
  {
    name: 'jobs',
    kind: 'jobs',
    verb: 'work with',
    relations: [
      {
        name: 'place',
        questions: [
          'where {do} {x} work',
          'at what place can I meet {x}',
          'where would I look for {x}',
          'what is the usual place of {x}',
        ],
        followUp: 'where {do} {it} work',
        answers: [
          '{x} {adv} work{s} in {v}',
          'you can {adv} meet {x} in {v}',
          'the place of {x} is {adv} in {v}',
        ],
        keys: ['work', 'works', 'meet', 'place', 'find'],
      },
      {
        name: 'task',
        questions: [
          'what {do} {x} do',
          'what is the task of {x}',
          'what {is} {x} paid for',
          'what do we need {x} for',
        ],
        followUp: 'what {do} {it} do',
        answers: ['{x} {adv} {v}', 'the task of {x} is {adv} to {v}', 'people pay {x} to {v}'],
        keys: [''],
      },
    ],
    table: `nurses*|hospitals|help the sick
teachers*|schools|teach children
bakers*|bakeries|bake bread
pilots*|airports|fly planes
farmers*|fields|grow food
judges*|courts|decide cases
librarians*|libraries|lend books
actors*|theaters|perform plays
miners*|mines|dig coal
waiters*|restaurants|serve meals
mechanics*|garages|repair cars
scientists*|laboratories|run experiments
pharmacists*|pharmacies|sell medicine
firefighters*|fire stations|fight fires
tailors*|workshops|sew clothes`,
    steps: [
      'ask questions about their day',
      'be on time',
      'write down what {x} say',
      'thank {x} for their work',
      'visit {x} for a day',
      'learn the right words',
      'watch how {x} do it',
    ],
  },
  {
    name: 'subjects',
    kind: 'subjects',
    verb: 'learn',
    relations: [
      {
        name: 'matter',
        questions: [
          'what {do} {x} deal with',
          'what is {x} about',
          'what do people study in {x}',
          'what does one learn in {x}',
        ],
        followUp: 'what {do} {it} deal with',
        answers: ['{x} {adv} deal{s} with {v}', '{x} is {adv} about {v}', 'in {x} you {adv} study {v}'],
        keys: ['deal', 'deals', 'about', 'study', 'studies', 'learn'],
      },
      {
        name: 'tool',
        questions: [
          'what do I need for {x}',
          'which tool helps with {x}',
          'what should I bring to {x} class',
          'what is the tool of {x}',
        ],
        followUp: 'what do I need for {them}',
        answers: [
          'for {x} you {adv} need {v}',
          'the tool of {x} is {adv} {v}',
          'students of {x} {adv} bring {v}',
        ],
        keys: ['need', 'tool', 'bring'],
      },
    ],
    table: `geometry|shapes|a ruler
biology|living things|a microscope
history|the past|old books
geography|countries|an atlas
chemistry|substances|test tubes
astronomy|stars|a telescope
grammar|sentences|a dictionary
statistics|data|a computer
economics|money|a newspaper
botany|plants|a plant guide
algebra|equations|a notebook
poetry|verses|a quiet room
music theory|notes|a keyboard
medicine|diseases|a white coat`,
    steps: [
      'review your notes',
      'solve one exercise of {x} a day',
      'ask your teacher about {x}',
      'explain {x} to a friend',
      'begin with easy pages',
      'sleep well before a test',
      'make small cards for {x}',
    ],
  },
  {
    name: 'health',
    kind: 'troubles',
    verb: 'deal with',
    relations: [
      {
        name: 'remedy',
        questions: [
          'what helps against {x}',
          'what is a good remedy for {x}',
          'what can I do about {x} at home',
          'which remedy works for {x}',
        ],
        followUp: 'what helps against {them}',
        answers: [
          '{v} {adv} helps against {x}',
          'a good remedy for {x} is {adv} {v}',
          'people {adv} treat {x} with {v}',
        ],
        keys: ['helps', 'remedy', 'treat', 'against'],
      },
      {
        name: 'expert',
        questions: [
          'who treats {x}',
          'who should I see about {x}',
          'who knows most about {x}',
          'which expert is right for {x}',
        ],
        followUp: 'who treats {them}',
        answers: [
          '{v} {adv} treats {x}',
          'for {x} you should {adv} see {v}',
          'the right expert for {x} is {adv} {v}',
        ],
        keys: ['treats', 'see', 'expert', 'ask'],
      },
    ],
    table: `coughs*|honey|a doctor
sore throats*|warm tea|a doctor
sunburn|cool water|a skin doctor
hiccups*|slow breathing|a doctor
colds*|rest|a doctor
blisters*|a clean bandage|a nurse
insomnia|a fixed bedtime|a sleep doctor
stress|a long walk|a therapist
toothaches*|a cold pack|a dentist
back pain|stretching|a physical therapist
dry skin|skin cream|a skin doctor
tired eyes*|a short break|an eye doctor
headaches*|a dark room|a doctor
nosebleeds*|a cold cloth|a nurse`,
    steps: [
      'drink enough water',
      'talk to someone about {x}',
      'keep a diary of {x}',
      'go to bed early',
      'take a short break',
      'eat regular meals',
      'go outside every day',
    ],
  },
];
