#include "client/pacs/report.h"

#include <dcmtk/config/osconfig.h>
// DCMTK wants the line above first.
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmsr/codes/dcm.h>
#include <dcmtk/dcmsr/codes/ucum.h>
#include <dcmtk/dcmsr/dsrdoc.h>

#include <array>
#include <opencv2/imgcodecs.hpp>

#include "client/pacs/durable_file.h"

namespace consilium {
namespace {

namespace fs = std::filesystem;

// Codes of our own, as PS3.16 wants them named: "99" before the name.
constexpr char kScheme[] = "99CONSILIUM";

// What is made of the source alone fails by what the source says: a UID that is none, say.
Status OfSource(const OFCondition& done, const std::string& what) {
  if (done.good()) return OkStatus();
  return InvalidArgument("{}: {}", what, done.text());
}

Status Save(DcmFileFormat& file, const fs::path& path) {
  const fs::path part = path.string() + ".part";
  const OFCondition saved = file.saveFile(part.c_str(), EXS_LittleEndianExplicit);
  if (saved.bad()) return Internal("{}: {}", path.string(), saved.text());
  return SyncAndRename(part, path);
}

std::string TextOf(DcmDataset& dataset, const DcmTagKey& tag) {
  OFString text;
  if (dataset.findAndGetOFString(tag, text).bad()) return "";
  return {text.c_str(), text.size()};
}

// A text item below the one that the tree stands at.
OFCondition AddText(DSRDocumentTree& tree, DSRTypes::E_RelationshipType relation,
                    const DSRCodedEntryValue& concept_name, const std::string& text,
                    DSRTypes::E_AddMode where) {
  if (tree.addContentItem(relation, DSRTypes::VT_Text, where) == 0)
    return SR_EC_CannotAddContentItem;
  OFCondition done = tree.getCurrentContentItem().setConceptName(concept_name);
  if (done.good()) done = tree.getCurrentContentItem().setStringValue(text.c_str());
  return done;
}

// A probability, and the image that it was inferred from below it.
OFCondition AddFinding(DSRDocumentTree& tree, const ImageFinding& finding, std::size_t number,
                       const ReportedImage& image) {
  const auto where = number == 0 ? DSRTypes::AM_belowCurrent : DSRTypes::AM_afterCurrent;
  if (tree.addContentItem(DSRTypes::RT_contains, DSRTypes::VT_Num, where) == 0) {
    return SR_EC_CannotAddContentItem;
  }
  const std::string code = fmt::format("P{}", number + 1);
  const std::string meaning =
      fmt::format("Probability of {}{}", finding.finding, finding.called ? ", called" : "");
  OFCondition done = tree.getCurrentContentItem().setConceptName(
      DSRCodedEntryValue(code.c_str(), kScheme, meaning.c_str()));
  if (done.bad()) return done;
  done = tree.getCurrentContentItem().setNumericValue(
      DSRNumericMeasurementValue(fmt::format("{:.4f}", finding.probability).c_str(),
                                 DSRCodedEntryValue("1", "UCUM", "no units")));
  if (done.bad()) return done;
  if (tree.addContentItem(DSRTypes::RT_inferredFrom, DSRTypes::VT_Image,
                          DSRTypes::AM_belowCurrent) == 0) {
    return SR_EC_CannotAddContentItem;
  }
  done = tree.getCurrentContentItem().setImageReference(
      DSRImageReferenceValue(image.sop_class_uid.c_str(), image.sop_instance_uid.c_str()));
  tree.goUp();
  return done;
}

OFCondition FillTree(DSRDocumentTree& tree, const ImageReport& report, const ReportedImage& image) {
  tree.addContentItem(DSRTypes::RT_isRoot, DSRTypes::VT_Container);
  OFCondition done = tree.getCurrentContentItem().setConceptName(CODE_DCM_ImagingMeasurementReport);
  const auto then = [&](OFCondition next) {
    if (done.good()) done = next;
  };
  then(AddText(tree, DSRTypes::RT_hasObsContext, CODE_DCM_DeviceObserverName, report.software,
               DSRTypes::AM_belowCurrent));
  then(AddText(tree, DSRTypes::RT_contains, DSRCodedEntryValue("MODEL", kScheme, "Model, SHA-256"),
               report.model_digest, DSRTypes::AM_afterCurrent));
  then(AddText(tree, DSRTypes::RT_contains, CODE_DCM_Comment, report.limits,
               DSRTypes::AM_afterCurrent));
  if (report.abstains) {
    then(AddText(tree, DSRTypes::RT_contains, DSRCodedEntryValue("ABSTAINS", kScheme, "No answer"),
                 "This image is unlike those that the model knows.", DSRTypes::AM_afterCurrent));
    return done;
  }
  if (tree.addContentItem(DSRTypes::RT_contains, DSRTypes::VT_Container,
                          DSRTypes::AM_afterCurrent) == 0) {
    return SR_EC_CannotAddContentItem;
  }
  then(tree.getCurrentContentItem().setConceptName(CODE_DCM_ImagingMeasurements));
  for (std::size_t i = 0; i < report.findings.size(); ++i) {
    then(AddFinding(tree, report.findings[i], i, image));
  }
  return done;
}

Status WriteStructuredReport(DcmDataset& source, const ImageReport& report,
                             const ReportedImage& image, const fs::path& path) {
  DSRDocument document(DSRTypes::DT_EnhancedSR);
  CSL_RETURN_IF_ERROR(OfSource(document.readPatientData(source), "its patient"));
  CSL_RETURN_IF_ERROR(OfSource(document.readStudyData(source), "its study"));
  OFString character_set;
  if (source.findAndGetOFStringArray(DCM_SpecificCharacterSet, character_set).good() &&
      !character_set.empty()) {
    document.setSpecificCharacterSet(character_set);
  }
  document.createNewSeries();
  document.setSeriesDescription("Consilium, research use only");
  document.setManufacturer("Consilium");
  document.setManufacturerModelName(report.software.c_str());
  const OFCondition filled = FillTree(document.getTree(), report, image);
  if (filled.bad()) return Internal("the report: {}", filled.text());
  document.getCurrentRequestedProcedureEvidence().addItem(
      image.study_uid.c_str(), TextOf(source, DCM_SeriesInstanceUID).c_str(),
      image.sop_class_uid.c_str(), image.sop_instance_uid.c_str());
  DcmFileFormat file;
  CSL_RETURN_IF_ERROR(OfSource(document.write(*file.getDataset()), "no report can be made of it"));
  return Save(file, path);
}

Status WriteCapture(DcmDataset& source, const fs::path& overlay, const fs::path& path) {
  const cv::Mat picture = cv::imread(overlay.string(), cv::IMREAD_COLOR);
  if (picture.empty()) return InvalidArgument("{}: not a picture", overlay.string());
  std::vector<Uint8> rgb;
  rgb.reserve(picture.total() * 3);
  for (auto pixel = picture.begin<cv::Vec3b>(); pixel != picture.end<cv::Vec3b>(); ++pixel) {
    rgb.insert(rgb.end(), {(*pixel)[2], (*pixel)[1], (*pixel)[0]});
  }
  if (rgb.size() % 2 != 0) rgb.push_back(0);
  DcmFileFormat file;
  DcmDataset& data = *file.getDataset();
  for (const DcmTagKey& tag :
       {DCM_SpecificCharacterSet, DCM_PatientName, DCM_PatientID, DCM_PatientBirthDate,
        DCM_PatientSex, DCM_StudyInstanceUID, DCM_StudyDate, DCM_StudyTime, DCM_StudyID,
        DCM_AccessionNumber, DCM_ReferringPhysicianName}) {
    DcmElement* element = nullptr;
    if (source.findAndGetElement(tag, element).good()) {
      data.insert(OFstatic_cast(DcmElement*, element->clone()), OFTrue);
    } else {
      data.insertEmptyElement(tag);
    }
  }
  std::array<char, 100> uid{};
  const auto set = [&](const DcmTagKey& tag, const char* value) {
    return data.putAndInsertString(tag, value);
  };
  set(DCM_SOPClassUID, UID_SecondaryCaptureImageStorage);
  set(DCM_SOPInstanceUID, dcmGenerateUniqueIdentifier(uid.data(), SITE_INSTANCE_UID_ROOT));
  set(DCM_SeriesInstanceUID, dcmGenerateUniqueIdentifier(uid.data(), SITE_SERIES_UID_ROOT));
  set(DCM_Modality, "OT");
  set(DCM_ConversionType, "WSD");
  set(DCM_SeriesNumber, "1");
  set(DCM_InstanceNumber, "1");
  set(DCM_SeriesDescription, "Consilium, research use only");
  set(DCM_ImageType, "DERIVED\\SECONDARY");
  set(DCM_PhotometricInterpretation, "RGB");
  data.putAndInsertUint16(DCM_SamplesPerPixel, 3);
  data.putAndInsertUint16(DCM_PlanarConfiguration, 0);
  data.putAndInsertUint16(DCM_Rows, static_cast<Uint16>(picture.rows));
  data.putAndInsertUint16(DCM_Columns, static_cast<Uint16>(picture.cols));
  data.putAndInsertUint16(DCM_BitsAllocated, 8);
  data.putAndInsertUint16(DCM_BitsStored, 8);
  data.putAndInsertUint16(DCM_HighBit, 7);
  data.putAndInsertUint16(DCM_PixelRepresentation, 0);
  CSL_RETURN_IF_ERROR(OfSource(data.putAndInsertUint8Array(DCM_PixelData, rgb.data(), rgb.size()),
                               "no capture can be made of it"));
  return Save(file, path);
}

}  // namespace

StatusOr<ReportedImage> WriteReport(const fs::path& source, const ImageReport& report,
                                    const fs::path& overlay, const fs::path& folder) {
  constexpr Uint32 kMostBytesOfAnElement = 4096;  // pixels are not read
  DcmFileFormat file;
  if (file.loadFile(source.c_str(), EXS_Unknown, EGL_noChange, kMostBytesOfAnElement).bad()) {
    return InvalidArgument("{}: not a DICOM file", source.string());
  }
  DcmDataset& dataset = *file.getDataset();
  const ReportedImage image{.patient_id = TextOf(dataset, DCM_PatientID),
                            .study_uid = TextOf(dataset, DCM_StudyInstanceUID),
                            .sop_class_uid = TextOf(dataset, DCM_SOPClassUID),
                            .sop_instance_uid = TextOf(dataset, DCM_SOPInstanceUID)};
  for (const std::string& uid : {image.study_uid, image.sop_class_uid, image.sop_instance_uid}) {
    if (uid.empty()) return InvalidArgument("{}: it is no image of a study", source.string());
    CSL_RETURN_IF_ERROR(
        OfSource(DcmUniqueIdentifier::checkStringValue(uid.c_str(), "1"), "no UID, " + uid));
  }
  const std::string stem = source.stem().string();
  CSL_RETURN_IF_ERROR(WriteStructuredReport(dataset, report, image, folder / (stem + ".sr.dcm")));
  CSL_RETURN_IF_ERROR(WriteCapture(dataset, overlay, folder / (stem + ".sc.dcm")));
  return image;
}

}  // namespace consilium
