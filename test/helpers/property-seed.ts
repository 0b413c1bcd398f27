import fc from 'fast-check';

// A fixed seed by default: whoever runs the tests of one commit twice sees the same result. Another number, or
// "random", in PERSONA_TEST_SEED searches further.
const wanted = process.env['PERSONA_TEST_SEED'] ?? '20261126';
if (wanted !== 'random') fc.configureGlobal({ seed: Number.parseInt(wanted, 10) });
