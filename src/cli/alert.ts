/** What a command was asked to look for, and found: no fault of anybody's, and an exit code of its own. */
export class FoundAlert extends Error {}

/** A run that went to its end, but for parts of it that gave no result: each has said why. */
export class IncompleteRun extends Error {}
