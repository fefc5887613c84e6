import type { handleServerStreamingCall, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { v1 } from "../wire/index.js";
import type { Witness } from "./witness.js";

/** The handlers of `services.Witness`. */
export function witnessHandlers(witness: Witness): UntypedServiceImplementation {
  const register: handleServerStreamingCall<v1.IWitnessRequest, v1.IWitnessNotice> = (call) => {
    const registration = witness.register(
      call.request,
      (notice) => call.write(notice),
      () => call.end(),
    );
    call.on("drain", () => registration.resume());
    const close = () => registration.close();
    call.on("cancelled", close);
    call.on("close", close);
    call.on("error", close);
  };
  return { register } as unknown as UntypedServiceImplementation;
}
