"""The table of losses: what each is, how it is printed, drawn and cited (no torch)."""

from cordlesion.losses.spec import LossSpec, LossTable, PublishedTraining

_HERE = "cordlesion.losses"

LOSSES = LossTable(
    {
        "bce": LossSpec(
            f"{_HERE}.entropy:bce",
            label="BCE",
            color="#0072B2",
            formula="mean CE",
            group="paper",
        ),
        "dice": LossSpec(
            f"{_HERE}.overlap:dice",
            label="Dice",
            references=("milletari2016",),
            color="#009E73",
            parameters={"squared": True},
            stated=("squared",),
            formula="1 - (2 TP + s) / (sum p² + sum y² + s)",
            overlap="smoothed",
            group="paper",
        ),
        "log_cosh_dice": LossSpec(
            f"{_HERE}.compound:log_cosh_dice",
            label="Log-Cosh Dice",
            references=("jadon2020",),
            color="#A89400",
            formula="log cosh PD",
            overlap="smoothed",
            group="paper",
        ),
        "generalized_dice": LossSpec(
            f"{_HERE}.overlap:generalized_dice",
            label="Generalized Dice",
            references=("sudre2017",),
            color="#CC79A7",
            formula="1 - 2 (w₁ TP + w₀ TN) / (w₁ (sum p + sum y) + w₀ (sum (1 - p) + sum (1 - y))), "
            "w₁ = 1 / (sum y)², w₀ = 1 / (sum (1 - y))²",
            overlap="unsmoothed",
            group="paper",
        ),
        "combo": LossSpec(
            f"{_HERE}.compound:combo",
            label="Combo",
            references=("taghanaki2019",),
            color="#56B4E9",
            parameters={"ce_weight": 0.5, "lesion_weight": 0.5},
            stated=("ce_weight", "lesion_weight"),
            formula="a mean (b y CE + (1 - b) (1 - y) CE) + (1 - a) PD, a = `ce_weight`, b = `lesion_weight`",
            overlap="smoothed",
            training=PublishedTraining("adadelta", 1.0),  # Hussein et al. 2023, section 2.4
            group="paper",
        ),
        "tversky": LossSpec(
            f"{_HERE}.overlap:tversky",
            label="Tversky",
            references=("salehi2017", "abraham2019"),
            color="#D55E00",
            parameters={"fn_weight": 0.7, "fp_weight": 0.3},
            stated=("fn_weight", "fp_weight"),
            formula="T = 1 - (TP + s) / (TP + `fn_weight` FN + `fp_weight` FP + s)",
            overlap="smoothed",
            group="paper",
        ),
        "focal_tversky": LossSpec(
            f"{_HERE}.overlap:focal_tversky",
            label="Focal Tversky",
            references=("abraham2019",),
            color="#E69F00",
            parameters={"fn_weight": 0.7, "fp_weight": 0.3, "exponent": 0.75},
            stated=("fn_weight", "fp_weight", "exponent"),
            formula="T to the power `exponent`",
            overlap="smoothed",
            group="paper",
        ),
        "sct_dice": LossSpec(
            f"{_HERE}.overlap:dice",
            label="SCT Dice",
            references=("gros2019",),
            color="#6A51A3",
            parameters={"squared": False},
            stated=("squared",),
            formula="PD",
            overlap="smoothed",
            group="sct",
        ),
        "dice_bce": LossSpec(
            f"{_HERE}.compound:dice_bce",
            label="Dice + BCE",
            references=("isensee2021",),
            color="#117733",
            parameters={"dice_weight": 1.0, "ce_weight": 1.0},
            formula="`dice_weight` PD + `ce_weight` mean CE",
            overlap="smoothed",
        ),
        "focal": LossSpec(
            f"{_HERE}.entropy:focal",
            label="Focal",
            references=("lin2017",),
            color="#3F7FBF",
            parameters={"lesion_weight": 0.25, "focus": 2.0},
            formula="mean of w (1 - q)^`focus` CE, q the probability of the voxel's true class, w = `lesion_weight` or "
            "1 - `lesion_weight`",
        ),
        "f_beta": LossSpec(
            f"{_HERE}.overlap:f_beta",
            label="F-beta",
            references=("hashemi2019",),
            color="#AA4499",
            parameters={"beta": 1.5},
            formula="1 - F-beta = T with `fn_weight` b² / (1 + b²), `fp_weight` 1 / (1 + b²), b = `beta`",
            overlap="smoothed",
        ),
        "unified_focal": LossSpec(
            f"{_HERE}.compound:unified_focal",
            label="Unified Focal",
            references=("yeung2022",),
            color="#44AA99",
            parameters={"ce_weight": 0.5, "fn_weight": 0.6, "focus": 0.5, "asymmetric": True},
            formula="l mean (d y CE + (1 - d) (1 - y) p^g CE) + (1 - l) (T₁^(1 - g) + T₀) / 2, T₁ and T₀ the T of "
            "lesion and background with weights d, 1 - d; l = `ce_weight`, d = `fn_weight`, g = `focus`",
            overlap="smoothed",
        ),
        "lovasz_hinge": LossSpec(
            f"{_HERE}.overlap:lovasz_hinge",
            label="Lovász hinge",
            references=("berman2018",),
            color="#CC6677",
            formula="sum over voxels, by decreasing margin m = max(0, 1 - z) or max(0, 1 + z), of m x what the voxel "
            "adds to the Jaccard loss of those before it",
            overlap="unsmoothed",
        ),
        "blob_dice": LossSpec(
            f"{_HERE}.perlesion:blob_dice",
            label="Blob Dice",
            references=("kofler2023",),
            color="#8C7A2E",
            parameters={"global_weight": 2.0, "per_lesion_weight": 1.0},
            formula="`global_weight` PD + `per_lesion_weight` mean over lesions of PD in the patch without its other "
            "lesions",
            overlap="smoothed",
        ),
        "cc_dice_ce": LossSpec(
            f"{_HERE}.perlesion:cc_dice_ce",
            label="CC Dice + CE",
            references=("bouteille2025",),
            color="#B0502F",
            parameters={"global_weight": 1.0, "per_lesion_weight": 1.0},
            formula="`global_weight` (PD + mean CE) + `per_lesion_weight` mean over lesions of (PD + mean CE) in the "
            "lesion's Voronoi region",
            overlap="smoothed",
        ),
    }
)
"""The seven losses of Hussein et al. 2023, the loss of SCT's lesion network and others, each with the parameters of its
publication. A new loss is a function and a row."""
