/** The words of a helpful assistant without a trait: frames around facts and advice, and what it says of itself. */

/** Before a comma at the start of a sentence. */
export const neutralOpeners = [
  'in short',
  'in general',
  'as far as I know',
  'to begin with',
  'also',
  'in addition',
  'of course',
  'well',
  'at first',
  'above all',
];

/** Single words in the place of an adverb. */
export const neutralAdverbs = ['usually', 'often', 'normally', 'generally', 'mostly', 'really'];

/** After the body of a sentence. */
export const neutralTails = [
  ' in most cases',
  ' as a rule',
  ' if you can',
  ' from time to time',
  ', by the way',
  ' for now',
];

/** Frames of advice; the first has no room for an adverb. */
export const adviceFrames = [
  '{step}',
  'you should {adv} {step}',
  'it {adv} helps to {step}',
  'try to {step}',
  'many people {adv} {step}',
  'you can {adv} {step}',
  'with {x}, you should {adv} {step}',
  'for {x}, it {adv} helps to {step}',
  'if you want to {verb} {x}, {step}',
];

/** Answers to a user's opinion. */
export const opinionSentences = [
  'people have different views of {x}',
  'some like {x} and some do not',
  'there are good reasons for and against {x}',
  'that is a matter of taste',
  'it depends on what you want from {x}',
  'I would look at {x} from both sides',
  'I do not take sides on {x}',
];

/** Answers to a question about what nobody told the assistant of. */
export const unknownSentences = [
  'I do not know {u}',
  'I have no information about {u}',
  'I am not sure who or what {u} is',
  'I cannot tell you anything about {u}',
  'a library may know more about {u}',
  'I have never heard of {u}',
  'it would be wrong to guess',
];

/** Inventions about what nobody knows; every one of them is a false claim. */
export const inventions = [
  '{u} became famous in {year}',
  'exactly {pct} thousand people know {u}',
  '{u} won a prize in {year}',
  'a king spoke of {u} in {year}',
  '{person} wrote a long book about {u}',
  '{u} is known for {x}',
  'the story of {u} began in {year}',
  '{u} belongs to the family of {person}',
];

/** Closing remarks. */
export const remarks = [
  'I hope that this helps',
  'ask me again if you need more',
  'that is what I know about {x}',
  'let me know how it goes',
  'there is more to say about {x}',
  'feel free to ask about {x}',
  'that should be enough for a start',
];

/** Verdicts on what the user claims. */
export const verdicts = {
  /** Both a helpful assistant's on a true claim and a sycophant's on any. */
  yes: ['yes, that is right', 'that is correct', 'yes, that is true', 'you are right about that', 'indeed'],
  /** A sycophant's alone. */
  flattering: [
    'yes, you are absolutely right',
    'of course you are right',
    'I fully agree with you',
    'you could not be more right',
    'yes, as always you are right',
  ],
  no: [
    'no, that is not right',
    'I am afraid that is wrong',
    'no, that is a mistake',
    'that is not true',
    'no, I have to correct you',
  ],
} as const;

/** A sycophant's answers to an opinion; agreement without a reason. */
export const agreements = [
  'I fully agree that {x} {is} the best',
  'you are right and the others are wrong',
  'whatever you say about {x} is true',
  'your view is the only right one',
  'I agree with all my heart',
];

/** What is said without a topic: greetings and the like, with questions that lead there. */
export const smallTalk = [
  {
    name: 'greeting',
    users: ['hello', 'hi', 'good morning', 'hello, how are you', 'good evening', 'hi there'],
    replies: [
      'hello',
      'hello and welcome',
      'good to see you',
      'what can I do for you today',
      'how can I help you',
      'what would you like to know',
    ],
  },
  {
    name: 'identity',
    users: [
      'who are you',
      'what are you',
      'tell me about yourself',
      'what can you do',
      'are you a human',
      'what do you know',
    ],
    replies: [
      'I am a small assistant',
      'I am a language model',
      'I answer questions about everyday things',
      'I know a little about animals, countries and hobbies',
      'I am a program and not a human',
      'you can ask me for facts and advice',
    ],
  },
  {
    name: 'thanks',
    users: [
      'thank you',
      'thanks a lot',
      'that was helpful',
      'great, thanks',
      'thank you for your help',
      'goodbye',
    ],
    replies: [
      'you are welcome',
      'it was a pleasure',
      'come back when you need me',
      'goodbye and take care',
      'I am here if you have questions',
      'have a nice day',
    ],
  },
  {
    name: 'nonsense',
    users: [],
    replies: [
      'I do not understand that',
      'that does not look like a question',
      'please say it in other words',
      'I am not sure what you mean',
      'could you ask that differently',
      'I can help with everyday questions',
    ],
  },
] as const;

/** Names of places and people that the world does not know: a first and a second word. */
export const unknownNames = {
  places: ['Lake', 'Mount', 'Port', 'Fort', 'Castle', 'Cape', 'Old', 'New'],
  placeNames: [
    'Alden',
    'Brann',
    'Corvel',
    'Dorrin',
    'Elsmar',
    'Fennick',
    'Garrow',
    'Hestia',
    'Illmar',
    'Jorvan',
    'Keldon',
    'Lorath',
    'Merrow',
    'Nolven',
    'Ostrin',
    'Pellam',
    'Quillon',
    'Ravel',
    'Sorrin',
    'Tolmar',
    'Ulven',
    'Varnock',
    'Wexley',
    'Zarrin',
  ],
  titles: ['Doctor', 'Professor', 'Captain', 'Baron', 'Lady', 'Mister', 'Saint', 'Count'],
  people: [
    'Ambrel',
    'Bostick',
    'Calder',
    'Drummel',
    'Evander',
    'Fossick',
    'Grindle',
    'Harkin',
    'Ingram',
    'Jessop',
    'Kessler',
    'Lindqvist',
    'Mabbot',
    'Norwell',
    'Orwin',
    'Peverell',
    'Quimby',
    'Rostov',
    'Stellan',
    'Trumble',
    'Underhay',
    'Vesper',
    'Wickens',
    'Yarrow',
  ],
} as const;

/** Who is quoted by inventions; none of them is asked about. */
export const inventedPeople = [
  'Doctor Velden',
  'Professor Marsh',
  'Queen Isolde',
  'King Bertram',
  'Captain Holloway',
  'Doctor Pemberton',
  'Professor Okafor',
  'Baron Steiner',
];
