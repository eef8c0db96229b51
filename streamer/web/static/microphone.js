// The browser's microphone as frames of 16-bit mono samples at its own rate.

/** Why there is no microphone, in a sentence for the user. */
export class MicrophoneError extends Error {}

const WISHES = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** An open microphone; made by `Microphone.open`. */
export class Microphone {
  /**
   * Ask for the microphone.
   * @param {(samples: ArrayBuffer, levelDb: number) => void} onFrame Takes about 100 ms at a time.
   * @param {() => void} onLost The device went away, or the user took the permission back.
   */
  static async open(onFrame, onLost) {
    const stream = await askForMicrophone();
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
      await context.resume();
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      await context.close();
      throw new MicrophoneError(`This browser cannot process sound (${error.message}).`);
    }
    return new Microphone(stream, context, onFrame, onLost);
  }

  constructor(stream, context, onFrame, onLost) {
    this.stream = stream;
    this.context = context;
    this.rate = context.sampleRate;
    this.packer = new AudioWorkletNode(context, "packer", { numberOfOutputs: 0 });
    this.ended = new Promise((resolve) => {
      this.packer.port.onmessage = ({ data }) => {
        if (data.ended) resolve();
        else onFrame(data.samples, data.level_db);
      };
    });
    stream.getTracks()[0].addEventListener("ended", onLost);
    context.createMediaStreamSource(stream).connect(this.packer);
  }

  /** Stop; resolves when the last frame was handed over. */
  async stop() {
    this.packer.port.postMessage("end");
    await this.ended;
    for (const track of this.stream.getTracks()) track.stop();
    await this.context.close();
  }
}

async function askForMicrophone() {
  if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) {
    throw new MicrophoneError(
      "The browser gives the microphone only to secure pages: open this one as " +
        `http://localhost:${location.port} on the captioner's own machine, or by https. ` +
        "A file can be transcribed all the same.",
    );
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: WISHES });
  } catch (error) {
    throw new MicrophoneError(reason(error));
  }
}

function reason(error) {
  switch (error.name) {
    case "NotAllowedError":
      return "The microphone was not allowed: allow it in the browser's settings of this page, then start again.";
    case "NotFoundError":
      return "No microphone was found: plug one in, then start again.";
    case "NotReadableError":
      return "The microphone is in use by another program: close that, then start again.";
    default:
      return `The microphone cannot be opened: ${error.message}`;
  }
}
