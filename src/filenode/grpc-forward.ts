import { Client, type ChannelCredentials, type Metadata, type ServiceError } from "@grpc/grpc-js";
import { provenName } from "../wire/caller.js";
import { ErrorCode, HoldfastError } from "../wire/errors.js";
import { fromServiceError } from "../wire/grpc-errors.js";
import { limits } from "../wire/limits.js";
import { services } from "../wire/services.js";

/** Marks a call that another node has passed on already: it is answered, never passed on again. */
export const FORWARDED = "holdfast-forwarded-by";

/** The name that the caller of a passed on call has proved to the node that passes it on; absent without TLS. */
export const ON_BEHALF_OF = "holdfast-on-behalf-of-bin";

/** Passes unary calls on to the node that owns their session. One connection a node, kept. */
export class FileServiceForwarder {
  private readonly clients = new Map<string, Client>();

  constructor(
    private readonly node: string,
    private readonly credentials: ChannelCredentials,
  ) {}

  /**
   * The owner's answer; throws its error, typed. The caller's deadline goes along, and the name that it proved here:
   * its certificate does not, the owner sees this node's.
   */
  forward<Reply>(
    address: string,
    method: string,
    request: object,
    call: { readonly metadata: Metadata; getDeadline(): Date | number },
  ): Promise<Reply> {
    const definition = services.FileService[method];
    if (definition === undefined)
      throw new HoldfastError(ErrorCode.INTERNAL, `FileService has no method ${method}`);
    const passed = call.metadata.clone();
    passed.set(FORWARDED, this.node);
    // Whatever the caller itself has put there proves nothing.
    passed.remove(ON_BEHALF_OF);
    const proven = provenName(call);
    if (proven !== null) passed.set(ON_BEHALF_OF, Buffer.from(proven));
    return new Promise((resolve, reject) => {
      this.client(address).makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        passed,
        { deadline: call.getDeadline() },
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

/**
 * Whose call it is: the name in the caller's certificate, or, where a member of the cluster passes a call on, the name
 * that was proved to that member. Null without TLS. Others may say what they like: `isMember` decides who is believed,
 * and a file server that is not ours must not be, for it could act for every client.
 */
export function principalOf(
  call: { readonly metadata: Metadata },
  isMember: (name: string) => boolean,
): string | null {
  const proven = provenName(call);
  if (proven === null) return null;
  const [behind] = call.metadata.get(ON_BEHALF_OF);
  return behind !== undefined && isMember(proven) ? behind.toString() : proven;
}
