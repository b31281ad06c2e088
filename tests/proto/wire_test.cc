// What the messages may hold.

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>

#include <set>
#include <string>
#include <vector>

namespace {

// Every field of free size in what a hospital can send: the model file's chunks, which are admitted
// as a model of known size and layout, and text and counts, which the client fills itself. An image
// has no other way out; a field that is added shows up here.
TEST(Wire, FieldsOfFreeSizeThatLeaveAHospitalAreKnown) {
  std::vector<const google::protobuf::Descriptor*> todo;
  const auto* file = google::protobuf::DescriptorPool::generated_pool();
  for (const std::string service :
       {"CoordinatorService", "ModelService", "BlobService", "EnrolmentService"}) {
    const auto* descriptor = file->FindServiceByName("consilium.v1." + service);
    ASSERT_NE(descriptor, nullptr) << service;
    for (int i = 0; i < descriptor->method_count(); ++i) {
      todo.push_back(descriptor->method(i)->input_type());
    }
  }
  using Field = google::protobuf::FieldDescriptor;
  std::set<std::string> fields;
  std::set<std::string> seen;
  while (!todo.empty()) {
    const auto* message = todo.back();
    todo.pop_back();
    if (!seen.insert(message->full_name()).second) continue;
    for (int i = 0; i < message->field_count(); ++i) {
      const Field* field = message->field(i);
      if (field->message_type() != nullptr) todo.push_back(field->message_type());
      if (field->is_repeated() || field->type() == Field::TYPE_BYTES ||
          field->type() == Field::TYPE_STRING) {
        fields.insert(field->full_name().substr(std::string("consilium.v1.").size()));
      }
    }
  }
  EXPECT_THAT(
      fields,
      ::testing::UnorderedElementsAre(
          "UploadRequest.data", "BlobRef.digest", "UploadRequest.Header.task_id",
          "StatUploadRequest.task_id", "DownloadRequest.digest", "ListModelsRequest.run_id",
          "NextTaskRequest.software", "TaskProgress.task_id", "ReportTaskRequest.task_id",
          "TaskResult.blob_digest", "TaskFailure.reason", "TaskResult.class_counts",
          "Evaluation.confusion", "Evaluation.histogram", "JoinRequest.token",
          "JoinRequest.request_pem", "GetManifestRequest.run_id", "GetReleaseRequest.channel",
          "SignedHead.hash", "SignedHead.signature", "SignedHead.certificate_pem"));
}

}  // namespace
