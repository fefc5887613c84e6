import type { ServerDuplexStream } from "@grpc/grpc-js";
import { provenName } from "../wire/caller.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { FrameGather } from "../wire/frame-gather.js";
import { toServiceError } from "../wire/grpc-errors.js";
import type { v1 } from "../wire/index.js";
import { limits } from "../wire/limits.js";
import { refuseOtherName } from "./caller-gate.js";
import type { Coordinator } from "./coordinator.js";

type Call = ServerDuplexStream<v1.ICoordinatorRequest, v1.ICoordinatorResponse>;

const NO_COMMAND: v1.ICommand = {};

/**
 * Commands and queries in, answers out as they come. Answers of one turn leave in one frame, if the caller takes that.
 * Reading stops while too many calls are under way; what a frame has beyond that waits here.
 */
export class CallStream {
  private readonly answers: FrameGather<v1.ICoordinatorResponse>;
  private readonly max: number;
  private readonly proven: string | null;
  private waiting: v1.ICoordinatorRequest[] = [];
  private inFlight = 0;
  private paused = false;
  private ended = false;
  private open = true;
  private limitTold = false;
  private framed = false;

  constructor(
    private readonly coordinator: Coordinator,
    private readonly call: Call,
  ) {
    this.proven = provenName(call);
    this.max = coordinator.config.streamInFlightMax;
    this.answers = new FrameGather<v1.ICoordinatorResponse>({
      one: (response) => this.write(response),
      many: (answers) => this.write({ answers }),
    });
    call.on("data", (frame: v1.ICoordinatorRequest) => this.frame(frame));
    call.on("end", () => {
      this.ended = true;
      this.endIfDone();
    });
    call.on("cancelled", () => this.gone());
    call.on("error", () => this.gone());
  }

  private frame(frame: v1.ICoordinatorRequest): void {
    if (frame.frameCallsMax) {
      this.framed = true;
      this.answers.otherTakes(frame.frameCallsMax);
    }
    const { calls } = frame;
    if (!calls?.length) return this.begin(frame);
    if (calls.length > limits.frameCallsMax) return this.refuse(calls.length);
    for (const request of calls) this.begin(request);
  }

  private refuse(calls: number): void {
    const text = `a frame carries ${calls} calls; at most ${limits.frameCallsMax} are allowed`;
    this.call.emit("error", toServiceError(new HoldfastError(ErrorCode.LIMIT_EXCEEDED, text)));
  }

  private begin(request: v1.ICoordinatorRequest): void {
    if (this.inFlight >= this.max) {
      this.waiting.push(request);
      return;
    }
    this.inFlight++;
    if (this.inFlight === this.max && !this.paused) {
      this.paused = true;
      this.call.pause();
    }
    const id = request.id ?? 0;
    if (request.query)
      return void this.coordinator.query(request.query).then((answer) => this.answer({ id, answer }));
    const command = request.command ?? NO_COMMAND;
    const stranger = refuseOtherName(this.proven, command);
    if (stranger !== null) return this.answer({ id, result: { error: stranger } });
    this.coordinator.executeWith(command, undefined, (result) => this.answer({ id, result }));
  }

  private answer(response: v1.ICoordinatorResponse): void {
    this.inFlight--;
    if (this.open) this.answers.push(response);
    const next = this.waiting.shift();
    if (next !== undefined) return this.begin(next);
    if (this.paused) {
      this.paused = false;
      this.call.resume();
    }
    this.endIfDone();
  }

  private write(response: v1.ICoordinatorResponse): void {
    if (!this.open) return;
    if (this.framed && !this.limitTold) {
      this.limitTold = true;
      response.frameCallsMax = limits.frameCallsMax;
    }
    this.call.write(response);
  }

  private endIfDone(): void {
    if (!this.ended || this.inFlight > 0 || this.waiting.length > 0) return;
    this.answers.flush();
    this.call.end();
  }

  private gone(): void {
    this.open = false;
    this.waiting = [];
    this.answers.close();
  }
}
