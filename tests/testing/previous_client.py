"""A hospital's client of version 0.1: it knows the messages of tests/protocol/v0.1 and no others.

Joins, fetches tasks, and answers a training with the global model as it is. Needs python3-grpcio and
python3-protobuf.
"""

import hashlib
import importlib
import json
import pathlib
import struct
import subprocess
import sys

import grpc

FROZEN = pathlib.Path(__file__).resolve().parents[1] / "protocol/v0.1"
CHUNK = 1 << 20


def messages(folder):
    """The frozen messages as Python modules, generated into a folder: by their file's name."""
    names = sorted(str(path.relative_to(FROZEN)) for path in FROZEN.rglob("*.proto"))
    subprocess.run(["protoc", f"-I{FROZEN}", f"--python_out={folder}", *names], check=True)
    sys.path.insert(0, str(folder))
    return {pathlib.Path(name).stem: importlib.import_module(
        f"consilium.v1.{pathlib.Path(name).stem}_pb2") for name in names}


class PreviousClient:
    def __init__(self, folder, host):
        self.folder, self.host = pathlib.Path(folder), host
        self.folder.mkdir()
        self.messages = messages(self.folder)
        self.done = []  # (round, kind) of the tasks it was given

    def join(self, port, token, ca):
        key, request = self.folder / "key.pem", self.folder / "request.pem"
        subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request, "-subj",
                        "/CN=previous"], check=True, capture_output=True)
        enrolment = self.messages["enrolment"]
        with grpc.secure_channel(f"{self.host}:{port}", grpc.ssl_channel_credentials(ca)) as channel:
            answer = self._unary(channel, "EnrolmentService/Join", enrolment.JoinResponse)(
                enrolment.JoinRequest(token=token, request_pem=request.read_text()), timeout=30)
        self.channel = grpc.secure_channel(answer.endpoint, grpc.ssl_channel_credentials(
            answer.ca_pem.encode(), key.read_bytes(), answer.certificate_pem.encode()))

    @staticmethod
    def _unary(channel, method, answer):
        return channel.unary_unary(f"/consilium.v1.{method}",
                                   request_serializer=lambda m: m.SerializeToString(),
                                   response_deserializer=answer.FromString)

    def next_task(self, protocol=1, metadata=None):
        """The next task; None where there is none."""
        m = self.messages["coordinator"]
        answer = self._unary(self.channel, "CoordinatorService/NextTask", m.NextTaskResponse)(
            m.NextTaskRequest(protocol=protocol, software="0.1.0", wait_seconds=2), timeout=30,
            metadata=metadata)
        return answer.task if answer.HasField("task") else None

    def do(self, task):
        m = self.messages["coordinator"]
        report = m.ReportTaskRequest(task_id=task.task_id)
        self.done.append((task.round, m.TaskKind.Name(task.kind)))
        report.result.SetInParent()
        if task.kind == m.TASK_KIND_TRAIN:
            update = self._update(self._download(task.model.digest), task)
            report.result.blob_digest = hashlib.sha256(update).hexdigest()
            report.result.train_examples = 10
            report.result.steps = 1
            self._upload(update, report.result.blob_digest, task.task_id)
        answer = self._unary(self.channel, "CoordinatorService/ReportTask", m.ReportTaskResponse)(
            report, timeout=60)
        return answer.note

    def _download(self, digest):
        m = self.messages["blob"]
        call = self.channel.unary_stream("/consilium.v1.BlobService/Download",
                                         request_serializer=lambda r: r.SerializeToString(),
                                         response_deserializer=m.DownloadResponse.FromString)
        model = b"".join(part.data for part in call(m.DownloadRequest(digest=digest), timeout=60))
        assert hashlib.sha256(model).hexdigest() == digest
        return model

    @staticmethod
    def _update(model, task):
        """The global model's numbers as this task's update."""
        (length,) = struct.unpack("<Q", model[:8])
        header = json.loads(model[8:8 + length])
        metadata = header["__metadata__"]
        metadata.update(run=task.run_id, round=str(task.round), parent=task.model.digest,
                        training_sites="0")
        text = json.dumps(header).encode()
        text += b" " * (-(8 + len(text)) % 64)
        return struct.pack("<Q", len(text)) + text + model[8 + length:]

    def _upload(self, blob, digest, task_id):
        m = self.messages["blob"]
        ref = m.BlobRef(digest=digest, size_bytes=len(blob))
        held = self._unary(self.channel, "BlobService/StatUpload", m.StatUploadResponse)(
            m.StatUploadRequest(blob=ref, task_id=task_id), timeout=30).held_bytes

        def parts():
            yield m.UploadRequest(header=m.UploadRequest.Header(blob=ref, task_id=task_id, offset=held))
            for at in range(held, len(blob), CHUNK):
                yield m.UploadRequest(data=blob[at:at + CHUNK])
        call = self.channel.stream_unary("/consilium.v1.BlobService/Upload",
                                         request_serializer=lambda r: r.SerializeToString(),
                                         response_deserializer=m.UploadResponse.FromString)
        assert call(parts(), timeout=60).held_bytes == len(blob)
