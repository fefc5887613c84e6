import { Client, type ChannelCredentials, type Metadata, type ServiceError } from "@grpc/grpc-js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { fromServiceError } from "../wire/grpc-errors.js";
import { limits } from "../wire/limits.js";
import { services } from "../wire/services.js";

/** Marks a call that another node has passed on already: it is answered, never passed on again. */
export const FORWARDED = "holdfast-forwarded-by";

/** Passes unary calls on to the node that owns their session. One connection a node, kept. */
export class FileServiceForwarder {
  private readonly clients = new Map<string, Client>();

  constructor(
    private readonly node: string,
    private readonly credentials: ChannelCredentials,
  ) {}

  /** The owner's answer; throws its error, typed. The caller's own credentials and deadline go along. */
  forward<Reply>(
    address: string,
    method: string,
    request: object,
    metadata: Metadata,
    deadline: Date | number,
  ): Promise<Reply> {
    const definition = services.FileService[method];
    if (definition === undefined)
      throw new HoldfastError(ErrorCode.INTERNAL, `FileService has no method ${method}`);
    const passed = metadata.clone();
    passed.set(FORWARDED, this.node);
    return new Promise((resolve, reject) => {
      this.client(address).makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        passed,
        { deadline },
        (error: ServiceError | null, reply: unknown) => {
          if (error === null) resolve(reply as Reply);
          else reject(fromServiceError(error));
        },
      );
    });
  }

  close(): void {
    for (const client of this.clients.values()) client.close();
    this.clients.clear();
  }

  private client(address: string): Client {
    let client = this.clients.get(address);
    if (client === undefined) {
      client = new Client(address, this.credentials, {
        "grpc.max_receive_message_length": limits.messageBytesMax,
      });
      this.clients.set(address, client);
    }
    return client;
  }
}
