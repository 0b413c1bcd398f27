/** How the user stops a command. */
export interface Stop {
  /** Aborted at the first Ctrl-C or TERM; the command ends after the step in hand. */
  readonly signal: AbortSignal;
  /** The exit code that says which signal it was, as shells do: 130 or 143. */
  exitCode(): number;
  release(): void;
}

/** npx passes on a Ctrl-C that the terminal has sent to everybody already; a person is slower than this. */
const echoMs = 500;

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

/** Turns the first signal into an orderly stop, and the second into an end at once. */
export function listenForStop(): Stop {
  const controller = new AbortController();
  let exitCode: number = exitCodes.SIGINT;
  let first = 0;
  const onSignal = (name: 'SIGINT' | 'SIGTERM'): void => {
    exitCode = exitCodes[name];
    if (controller.signal.aborted) {
      if (performance.now() - first > echoMs) process.exit(exitCode);
      return;
    }
    first = performance.now();
    process.stderr.write('\nstopping after the step in hand; once more to end at once\n');
    controller.abort();
  };
  // `persona serve` starts commands with a channel to it, which ends with the server, however that went.
  const onServerGone = (): void => onSignal('SIGTERM');
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  if (process.connected) process.on('disconnect', onServerGone);
  return {
    signal: controller.signal,
    exitCode: () => exitCode,
    release: () => {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
      process.off('disconnect', onServerGone);
    },
  };
}
