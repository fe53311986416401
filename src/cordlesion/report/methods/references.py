"""What the method comes from: one home of every reference, as text and as BibTeX."""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Reference:
    """One publication."""

    authors: str
    """Names as in BibTeX, joined by `` and ``; ``others`` ends a shortened list."""
    title: str
    venue: str
    year: int
    locator: str = ""
    """Volume and pages, or an address of its own."""

    @property
    def text(self) -> str:
        """As in a list of references."""
        names = self.authors.replace(" and others", " et al.").split(" and ")
        listed = ", ".join(names[:-1]) + " & " + names[-1] if len(names) > 1 else names[0]
        place = f"{self.venue} {self.locator}".strip()
        return f"{listed}{'' if listed.endswith('.') else '.'} {self.title}. {place}, {self.year}."

    def bibtex(self, key: str) -> str:
        """As an entry of a BibTeX file."""
        fields = {"author": self.authors, "title": f"{{{self.title}}}", "howpublished": self.venue, "year": self.year}
        if self.locator:
            fields["note"] = self.locator
        inner = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@misc{{{key},\n{inner}\n}}\n"


_ISBI, _MICCAI = "IEEE International Symposium on Biomedical Imaging (ISBI)", "MICCAI"

REFERENCES = MappingProxyType(
    {
        "hussein2023": Reference(
            "B. R. Hussein and C. Meurée and M. Gaubert and A. Masson and A. Kerbrat and B. Combès and F. Galassi",
            "A study on loss functions and decision thresholds for the segmentation of multiple sclerosis lesions on "
            "spinal cord MRI",
            _ISBI,
            2023,
            "hal-03865212",
        ),
        "gorgolewski2016": Reference(
            "K. J. Gorgolewski and others",
            "The brain imaging data structure, a format for organizing and describing outputs of neuroimaging "
            "experiments",
            "Scientific Data",
            2016,
            "3:160044",
        ),
        "gros2018": Reference(
            "C. Gros and others",
            "Automatic spinal cord localization, robust to MRI contrasts using global curve optimization",
            "Medical Image Analysis",
            2018,
            "44:215-227",
        ),
        "gros2019": Reference(
            "C. Gros and others",
            "Automatic segmentation of the spinal cord and intramedullary multiple sclerosis lesions with "
            "convolutional neural networks",
            "NeuroImage",
            2019,
            "184:901-915",
        ),
        "deleener2017": Reference(
            "B. De Leener and others",
            "SCT: Spinal Cord Toolbox, an open-source software for processing spinal cord MRI data",
            "NeuroImage",
            2017,
            "145:24-43",
        ),
        "otsu1979": Reference(
            "N. Otsu",
            "A threshold selection method from gray-level histograms",
            "IEEE Transactions on Systems, Man, and Cybernetics",
            1979,
            "9:62-66",
        ),
        "nyul2000": Reference(
            "L. G. Nyúl and J. K. Udupa and X. Zhang",
            "New variants of a method of MRI scale standardization",
            "IEEE Transactions on Medical Imaging",
            2000,
            "19:143-150",
        ),
        "cicek2016": Reference(
            "Ö. Çiçek and A. Abdulkadir and S. S. Lienkamp and T. Brox and O. Ronneberger",
            "3D U-Net: learning dense volumetric segmentation from sparse annotation",
            _MICCAI,
            2016,
        ),
        "lin2017": Reference(
            "T.-Y. Lin and P. Goyal and R. Girshick and K. He and P. Dollár",
            "Focal loss for dense object detection",
            "IEEE International Conference on Computer Vision (ICCV)",
            2017,
        ),
        "kingma2015": Reference(
            "D. P. Kingma and J. Ba",
            "Adam: a method for stochastic optimization",
            "International Conference on Learning Representations (ICLR)",
            2015,
        ),
        "zeiler2012": Reference("M. D. Zeiler", "ADADELTA: an adaptive learning rate method", "arXiv:1212.5701", 2012),
        "loshchilov2017": Reference(
            "I. Loshchilov and F. Hutter",
            "SGDR: stochastic gradient descent with warm restarts",
            "International Conference on Learning Representations (ICLR)",
            2017,
        ),
        "milletari2016": Reference(
            "F. Milletari and N. Navab and S.-A. Ahmadi",
            "V-Net: fully convolutional neural networks for volumetric medical image segmentation",
            "International Conference on 3D Vision (3DV)",
            2016,
        ),
        "jadon2020": Reference(
            "S. Jadon",
            "A survey of loss functions for semantic segmentation",
            "IEEE Conference on Computational Intelligence in Bioinformatics and Computational Biology (CIBCB)",
            2020,
        ),
        "sudre2017": Reference(
            "C. H. Sudre and W. Li and T. Vercauteren and S. Ourselin and M. J. Cardoso",
            "Generalised Dice overlap as a deep learning loss function for highly unbalanced segmentations",
            "Deep Learning in Medical Image Analysis (DLMIA)",
            2017,
        ),
        "taghanaki2019": Reference(
            "S. A. Taghanaki and others",
            "Combo loss: handling input and output imbalance in multi-organ segmentation",
            "Computerized Medical Imaging and Graphics",
            2019,
            "75:24-33",
        ),
        "salehi2017": Reference(
            "S. S. M. Salehi and D. Erdogmus and A. Gholipour",
            "Tversky loss function for image segmentation using 3D fully convolutional deep networks",
            "Machine Learning in Medical Imaging (MLMI)",
            2017,
        ),
        "abraham2019": Reference(
            "N. Abraham and N. M. Khan",
            "A novel focal Tversky loss function with improved attention U-Net for lesion segmentation",
            _ISBI,
            2019,
        ),
        "isensee2021": Reference(
            "F. Isensee and P. F. Jaeger and S. A. A. Kohl and J. Petersen and K. H. Maier-Hein",
            "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation",
            "Nature Methods",
            2021,
            "18:203-211",
        ),
        "hashemi2019": Reference(
            "S. R. Hashemi and others",
            "Asymmetric loss functions and deep densely-connected networks for highly-imbalanced medical image "
            "segmentation: application to multiple sclerosis lesion detection",
            "IEEE Access",
            2019,
            "7:1721-1735",
        ),
        "yeung2022": Reference(
            "M. Yeung and E. Sala and C.-B. Schönlieb and L. Rundo",
            "Unified focal loss: generalising Dice and cross entropy-based losses to handle class imbalanced medical "
            "image segmentation",
            "Computerized Medical Imaging and Graphics",
            2022,
            "95:102026",
        ),
        "berman2018": Reference(
            "M. Berman and A. R. Triki and M. B. Blaschko",
            "The Lovász-Softmax loss: a tractable surrogate for the optimization of the intersection-over-union "
            "measure in neural networks",
            "IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
            2018,
        ),
        "kofler2023": Reference(
            "F. Kofler and others",
            "blob loss: instance imbalance aware loss functions for semantic segmentation",
            "Information Processing in Medical Imaging (IPMI)",
            2023,
        ),
        "bouteille2025": Reference(
            "Bouteille and others",
            "Learning to look closer: a new instance-wise loss for small cerebral lesion segmentation",
            "arXiv:2511.17146",
            2025,
        ),
        "monai2022": Reference(
            "M. J. Cardoso and others",
            "MONAI: an open-source framework for deep learning in healthcare",
            "arXiv:2211.02701",
            2022,
        ),
        "pielawski2020": Reference(
            "N. Pielawski and C. Wählby",
            "Introducing Hann windows for reducing edge-effects in patch-based image segmentation",
            "PLoS ONE",
            2020,
            "15:e0229839",
        ),
        "vincent1993": Reference(
            "L. Vincent",
            "Grayscale area openings and closings, their efficient implementation and applications",
            "EURASIP Workshop on Mathematical Morphology and its Applications to Signal Processing",
            1993,
        ),
        "commowick2018": Reference(
            "O. Commowick and others",
            "Objective evaluation of multiple sclerosis lesion segmentation using a data management and processing "
            "infrastructure",
            "Scientific Reports",
            2018,
            "8:13650",
        ),
        "gros2021": Reference(
            "C. Gros and A. Lemay and others",
            "ivadomed: a medical imaging deep learning toolbox",
            "Journal of Open Source Software",
            2021,
            "6:2868",
        ),
        "kirillov2019": Reference(
            "A. Kirillov and K. He and R. Girshick and C. Rother and P. Dollár",
            "Panoptic segmentation",
            "IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
            2019,
        ),
        "lipton2014": Reference(
            "Z. C. Lipton and C. Elkan and B. Naryanaswamy",
            "Optimal thresholding of classifiers to maximize F1 measure",
            "European Conference on Machine Learning (ECML PKDD)",
            2014,
        ),
        "guo2017": Reference(
            "C. Guo and G. Pleiss and Y. Sun and K. Q. Weinberger",
            "On calibration of modern neural networks",
            "International Conference on Machine Learning (ICML)",
            2017,
        ),
        "wilcoxon1945": Reference(
            "F. Wilcoxon", "Individual comparisons by ranking methods", "Biometrics Bulletin", 1945, "1:80-83"
        ),
        "holm1979": Reference(
            "S. Holm",
            "A simple sequentially rejective multiple test procedure",
            "Scandinavian Journal of Statistics",
            1979,
            "6:65-70",
        ),
        "clopper1934": Reference(
            "C. J. Clopper and E. S. Pearson",
            "The use of confidence or fiducial limits illustrated in the case of the binomial",
            "Biometrika",
            1934,
            "26:404-413",
        ),
        "hettmansperger1986": Reference(
            "T. P. Hettmansperger and S. J. Sheather",
            "Confidence intervals based on interpolated order statistics",
            "Statistics & Probability Letters",
            1986,
            "4:75-79",
        ),
        "korn1998": Reference(
            "E. L. Korn and B. I. Graubard",
            "Confidence intervals for proportions with small expected number of positive counts estimated from survey "
            "data",
            "Survey Methodology",
            1998,
            "24:193-201",
        ),
        "cochran1977": Reference("W. G. Cochran", "Sampling techniques", "Wiley", 1977),
        "agresti2005": Reference(
            "A. Agresti and Y. Min",
            "Simple improved confidence intervals for comparing matched proportions",
            "Statistics in Medicine",
            2005,
            "24:729-740",
        ),
        "efron1993": Reference(
            "B. Efron and R. J. Tibshirani", "An introduction to the bootstrap", "Chapman & Hall", 1993
        ),
        "satterthwaite1946": Reference(
            "F. E. Satterthwaite",
            "An approximate distribution of estimates of variance components",
            "Biometrics Bulletin",
            1946,
            "2:110-114",
        ),
    }
)
"""By key: first author and year."""
