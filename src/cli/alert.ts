/** What a command was asked to look for, and found: no fault of anybody's, and an exit code of its own. */
export class FoundAlert extends Error {}
