import type { Domain } from './domain.ts';

/** Music, sports, tools, materials and hobbies. */
export const thingDomains: readonly Domain[] = [
  {
    name: 'instruments',
    kind: 'instruments',
    verb: 'play',
    relations: [
      {
        name: 'family',
        questions: [
          'what kind of instrument is {x}',
          'which family {do} {x} belong to',
          'to which group {do} {x} belong',
          'how would you class {x}',
        ],
        followUp: 'which family {do} {it} belong to',
        answers: [
          '{x} {adv} belong{s} to the {v} family',
          '{x} is {adv} a {v} instrument',
          'the family of {x} is {adv} {v}',
        ],
        keys: ['family', 'belong', 'belongs', 'instrument', 'group'],
      },
      {
        name: 'way',
        questions: [
          'how do people play {x}',
          'with what do I play {x}',
          'what do I need to sound {x}',
          'in what way does one play {x}',
        ],
        followUp: 'how do people play {them}',
        answers: [
          'people {adv} play {x} with {v}',
          'you {adv} sound {x} with {v}',
          'players of {x} {adv} use {v}',
        ],
        keys: ['play', 'sound', 'players', 'played', 'use'],
      },
    ],
    table: `the violin|string|a bow
the guitar|string|the fingers
the flute|woodwind|the breath
the trumpet|brass|the lips
the cello|string|a bow
the harp|string|the fingers
the clarinet|woodwind|a reed
the tuba|brass|the lips
the xylophone|percussion|mallets
the oboe|woodwind|a reed
the drum|percussion|sticks
the piano|keyboard|the fingers
the organ|keyboard|hands and feet
the banjo|string|the fingers`,
    steps: [
      'practice slowly',
      'find a teacher for {x}',
      'listen to good players of {x}',
      'repeat the hard parts',
      'sit up straight',
      'tune {x} first',
      'play a little every day',
    ],
  },
  {
    name: 'sports',
    kind: 'sports',
    verb: 'start',
    relations: [
      {
        name: 'gear',
        questions: [
          'what do I need for {x}',
          'which equipment {do} {x} need',
          'what should I buy for {x}',
          'what do players bring to {x}',
        ],
        followUp: 'what do I need for {them}',
        answers: ['for {x} you {adv} need {v}', 'people {adv} buy {v} for {x}', '{x} {adv} need{s} {v}'],
        keys: ['need', 'needs', 'buy', 'equipment', 'bring'],
      },
      {
        name: 'ground',
        questions: [
          'where do people do {x}',
          'what is the place for {x}',
          'where {do} {x} take place',
          'in what place could I watch {x}',
        ],
        followUp: 'where {do} {it} take place',
        answers: [
          '{x} {adv} take{s} place {v}',
          'the place for {x} is {adv} {v}',
          'you can {adv} watch {x} {v}',
        ],
        keys: ['place', 'watch', 'where', 'done'],
      },
    ],
    table: `tennis|a racket|on a court
soccer|a ball|on a field
rowing|oars|on a river
fencing|a sword|in a hall
archery|a bow|on a range
golf|a club|on a green
hockey|a stick|on ice
skiing|skis|on snow
swimming|goggles|in a pool
cycling|a bicycle|on the road
boxing|gloves|in a ring
surfing|a board|on the waves
climbing|a rope|on rocks
chess|a chessboard|at a table
baseball|a bat|on a field
badminton|a racket|in a hall`,
    steps: [
      'warm up first',
      'join a club for {x}',
      'train three times a week',
      'watch the experts of {x}',
      'drink water between rounds',
      'rest after practice',
      'find a friend who likes {x}',
    ],
  },
  {
    name: 'tools',
    kind: 'tools',
    verb: 'handle',
    relations: [
      {
        name: 'use',
        questions: [
          'what {is} {x} good for',
          'what {is} {x} used for',
          'what can I do with {x}',
          'for what would I take {x}',
        ],
        followUp: 'what {is} {it} good for',
        answers: [
          '{x} {is} {adv} good for {v}',
          'people {adv} use {x} for {v}',
          '{x} {is} {adv} made for {v}',
        ],
        keys: ['good for', 'use', 'used', 'made for'],
      },
      {
        name: 'user',
        questions: [
          'who works with {x}',
          'who needs {x}',
          'which people own {x}',
          'in whose bag would I find {x}',
        ],
        followUp: 'who needs {them}',
        answers: ['{v} {adv} work with {x}', '{v} {adv} need {x}', 'you will {adv} find {x} with {v}'],
        keys: ['work with', 'works with', 'need', 'own', 'find'],
      },
    ],
    table: `hammers*|driving nails|carpenters
needles*|sewing clothes|tailors
telescopes*|watching stars|astronomers
shovels*|digging holes|gardeners
microscopes*|seeing tiny things|scientists
thermometers*|measuring heat|nurses
compasses*|finding north|sailors
brooms*|sweeping floors|cleaners
whisks*|beating eggs|cooks
anvils*|shaping metal|blacksmiths
brushes*|spreading paint|painters
wrenches*|turning bolts|mechanics
rakes*|gathering leaves|gardeners
scissors*|cutting paper|hairdressers`,
    steps: [
      'wear safety glasses',
      'keep {x} dry',
      'clean {x} after work',
      'ask an expert to show you {x}',
      'put {x} back in the box',
      'use both hands',
      'check {x} before you begin',
    ],
  },
  {
    name: 'materials',
    kind: 'materials',
    verb: 'work with',
    relations: [
      {
        name: 'source',
        questions: [
          'what {is} {x} made from',
          'where {do} {x} come from',
          'how do people get {x}',
          'what is the source of {x}',
        ],
        followUp: 'what {is} {it} made from',
        answers: [
          '{x} {is} {adv} made from {v}',
          '{x} {adv} come{s} from {v}',
          'people {adv} get {x} from {v}',
        ],
        keys: ['made from', 'made of', 'come', 'comes', 'get', 'source'],
      },
      {
        name: 'product',
        questions: [
          'what {is} {x} used for',
          'what do people make with {x}',
          'what needs {x}',
          'for what would a maker want {x}',
        ],
        followUp: 'what {is} {it} used for',
        answers: [
          'people {adv} use {x} for {v}',
          '{x} {is} {adv} used for {v}',
          'you {adv} need {x} for {v}',
        ],
        keys: ['use', 'used', 'need', 'make'],
      },
    ],
    table: `glass|sand|windows
paper|wood|books
steel|iron|bridges
leather|animal skin|boots
rubber|tree sap|tires
concrete|cement|buildings
linen|flax|shirts
plastic|oil|bottles
chocolate|cocoa beans|sweets
wool|sheep|sweaters
silk|silkworms|scarves
porcelain|white clay|cups
cotton|a shrub|towels
butter|milk|cakes`,
    steps: [
      'compare the prices of {x}',
      'store {x} in a dry place',
      'handle {x} with clean hands',
      'try a small piece first',
      'read the label',
      'throw nothing away',
      'buy {x} from a good shop',
    ],
  },
  {
    name: 'hobbies',
    kind: 'hobbies',
    verb: 'begin with',
    relations: [
      {
        name: 'supply',
        questions: [
          'what do I need for {x}',
          'what should I get for {x}',
          'which thing is most important for {x}',
          'what does a beginner in {x} buy',
        ],
        followUp: 'what do I need for {them}',
        answers: [
          'for {x} you {adv} need {v}',
          'people {adv} get {v} for {x}',
          'a beginner in {x} {adv} buys {v}',
        ],
        keys: ['need', 'get', 'buys', 'buy'],
      },
      {
        name: 'spot',
        questions: [
          'where can I do {x}',
          'where do people do {x}',
          'which place is right for {x}',
          'in what place is {x} common',
        ],
        followUp: 'where can I do {them}',
        answers: [
          'people {adv} do {x} {v}',
          'you can {adv} do {x} {v}',
          'the right place for {x} is {adv} {v}',
        ],
        keys: ['do', 'place', 'done'],
      },
    ],
    table: `knitting|wool|at home
pottery|clay|in a workshop
origami|paper|at home
photography|a camera|outdoors
embroidery|thread|at home
carving|wood|in a workshop
fishing|a rod|by the water
juggling|three balls|in a park
calligraphy|ink|at a desk
sewing|fabric|at a desk
camping|a tent|in the woods
sketching|a pencil|outdoors
stargazing|a blanket|on a hill
hiking|good shoes|in the woods`,
    steps: [
      'start with a simple project',
      'set aside one hour for {x}',
      'show your work to a friend',
      'follow a guide to {x}',
      'take your time',
      'join a group for {x}',
      'keep your first results',
    ],
  },
];
